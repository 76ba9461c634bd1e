//! A task's output for all shards of one table: frames in the order in which buffers filled.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::columns::column::Column;
use crate::compress::Frames;
use crate::ipc::rows::Rows;

/// A run of bytes in the bundle that belongs to one shard.
#[derive(Clone, Copy)]
pub struct Frame {
    pub shard: u32,
    pub records: u32,
    pub offset: u64,
    pub stored: u64,
    pub raw: u64,
}

/// What a shard holds until it becomes a frame.
pub trait Held: Clone {
    /// Makes frames.
    type Packer;

    /// How large a frame of it is before compression, or a little more.
    fn bytes(&self) -> usize;

    /// Takes back what a record has added since these were its bytes.
    fn cut(&mut self, bytes: usize);

    /// Gives memory back but for so many bytes.
    fn shrink(&mut self, keep: usize);

    /// Appends a frame of all but the last `kept` records, without which these are its bytes, and
    /// drops what it is made of; there is at least one record in it. Returns how large it is before
    /// compression.
    fn pack(
        &mut self,
        bytes: usize,
        kept: u32,
        packer: &mut Self::Packer,
        out: &mut Vec<u8>,
    ) -> io::Result<usize>;
}

/// Lines, each with its line end.
impl Held for Vec<u8> {
    type Packer = Frames;

    fn bytes(&self) -> usize {
        self.len()
    }

    fn cut(&mut self, bytes: usize) {
        self.truncate(bytes);
    }

    fn shrink(&mut self, keep: usize) {
        self.shrink_to(keep);
    }

    fn pack(
        &mut self,
        bytes: usize,
        _kept: u32,
        frames: &mut Frames,
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        frames.append(&self[..bytes], out)?;
        self.drain(..bytes);
        Ok(bytes)
    }
}

/// A shard's buffer becomes a frame when it holds `frame_bytes`; when all of them together hold
/// `budget` bytes, every one does, so that memory is bounded for any number of shards.
pub struct Bundle<H: Held> {
    path: PathBuf,
    file: Option<File>,
    packer: H::Packer,
    empty: H,
    shards: Vec<Shard<H>>,
    index: Vec<Frame>,
    written: u64,
    buffered: usize,
    frame_bytes: usize,
    budget: usize,
    packed: Vec<u8>,
    /// The system's code for the first failure: what was written before is not to be relied on, even
    /// if user code has caught the error.
    pub broken: Option<i32>,
}

struct Shard<H> {
    held: H,
    records: u32,
    closed: bool,
}

impl<H: Held> Shard<H> {
    fn check(&self) -> PyResult<()> {
        if self.closed {
            let why = "a record for a shard that this task has closed";
            return Err(PyValueError::new_err(why));
        }
        Ok(())
    }
}

impl<H: Held> Bundle<H> {
    /// `empty` is what a shard begins with.
    pub fn new(
        path: PathBuf,
        packer: H::Packer,
        empty: H,
        frame_bytes: usize,
        budget: usize,
    ) -> Self {
        Self {
            path,
            file: None,
            packer,
            empty,
            shards: Vec::new(),
            index: Vec::new(),
            written: 0,
            buffered: 0,
            frame_bytes,
            budget,
            packed: Vec::new(),
            broken: None,
        }
    }

    fn check(&self) -> io::Result<()> {
        self.broken
            .map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    /// Adds one record. If that fails, nothing is added.
    pub fn push(&mut self, shard: u32, add: impl FnOnce(&mut H) -> PyResult<()>) -> PyResult<()> {
        self.check()?;
        let at = self.at(shard);
        let keep = 2 * self.frame_bytes;
        let buffer = &mut self.shards[at];
        buffer.check()?;
        let before = buffer.held.bytes();
        if let Err(error) = add(&mut buffer.held) {
            buffer.held.cut(before);
            buffer.held.shrink(keep);
            return Err(error);
        }
        buffer.records += 1;
        let size = buffer.held.bytes();
        self.buffered += size - before;
        if size > self.frame_bytes && before > 0 {
            self.flush(at, before, 1)?;
        }
        if self.buffered > self.budget {
            self.flush_all()?;
        }
        Ok(())
    }

    /// Writes out what a shard still holds and gives its memory back.
    pub fn close(&mut self, shard: u32) -> io::Result<()> {
        self.check()?;
        let at = self.at(shard);
        self.flush_whole(at)?;
        self.shards[at].closed = true;
        Ok(())
    }

    fn at(&mut self, shard: u32) -> usize {
        let at = shard as usize;
        if at >= self.shards.len() {
            self.shards.resize_with(at + 1, || Shard {
                held: self.empty.clone(),
                records: 0,
                closed: false,
            });
        }
        at
    }

    /// Writes out everything; the index lists the frames in the order of the file.
    pub fn finish(&mut self) -> io::Result<Vec<Frame>> {
        self.check()?;
        self.flush_all()?;
        self.file = None;
        Ok(std::mem::take(&mut self.index))
    }

    fn flush_all(&mut self) -> io::Result<()> {
        (0..self.shards.len()).try_for_each(|at| self.flush_whole(at))
    }

    fn flush_whole(&mut self, at: usize) -> io::Result<()> {
        self.flush(at, self.shards[at].held.bytes(), 0)?;
        self.shards[at].held = self.empty.clone();
        Ok(())
    }

    /// Makes a frame of all but the last `kept` records of a buffer, without which these are its
    /// bytes.
    fn flush(&mut self, at: usize, bytes: usize, kept: u32) -> io::Result<()> {
        let flushed = self.try_flush(at, bytes, kept);
        if let Err(error) = &flushed {
            self.broken
                .get_or_insert(error.raw_os_error().unwrap_or(libc::EIO));
        }
        flushed
    }

    fn try_flush(&mut self, at: usize, bytes: usize, kept: u32) -> io::Result<()> {
        let shard = &mut self.shards[at];
        let records = shard.records - kept;
        if records == 0 {
            return Ok(());
        }
        self.packed.clear();
        let before = shard.held.bytes();
        let raw = shard
            .held
            .pack(bytes, kept, &mut self.packer, &mut self.packed)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create_new(&self.path)?),
        };
        file.write_all(&self.packed)?;
        let stored = self.packed.len() as u64;
        self.index.push(Frame {
            shard: at as u32,
            records,
            offset: self.written,
            stored,
            raw: raw as u64,
        });
        self.written += stored;
        self.buffered -= before - shard.held.bytes();
        shard.held.shrink(2 * self.frame_bytes);
        shard.records = kept;
        Ok(())
    }
}

impl Bundle<Vec<u8>> {
    /// Adds rows, each of which `encode` appends with its line end. The error is that of a row, and
    /// those before it are added.
    pub fn push_rows(
        &mut self,
        shard: u32,
        rows: &[u32],
        mut encode: impl FnMut(u32, &mut Vec<u8>) -> PyResult<()>,
    ) -> Result<(), (Option<u32>, PyErr)> {
        self.check().map_err(|error| (None, error.into()))?;
        let at = self.at(shard);
        self.shards[at]
            .check()
            .map_err(|error| (rows.first().copied(), error))?;
        for &row in rows {
            let buffer = &mut self.shards[at];
            let before = buffer.held.len();
            if let Err(error) = encode(row, &mut buffer.held) {
                buffer.held.truncate(before);
                return Err((Some(row), error));
            }
            buffer.records += 1;
            let size = buffer.held.len();
            self.buffered += size - before;
            if size > self.frame_bytes && before > 0 {
                self.flush(at, before, 1)
                    .map_err(|error| (None, error.into()))?;
            }
        }
        if self.buffered > self.budget {
            self.flush_all().map_err(|error| (None, error.into()))?;
        }
        Ok(())
    }
}

impl Bundle<Rows> {
    /// Adds rows of columns.
    pub fn push_columns(
        &mut self,
        shard: u32,
        columns: &[Cow<'_, Column>],
        mut rows: &[u32],
    ) -> PyResult<()> {
        self.check()?;
        let at = self.at(shard);
        self.shards[at].check()?;
        while !rows.is_empty() {
            let Shard { held, records, .. } = &mut self.shards[at];
            let before = held.bytes();
            let added = held.extend(columns, rows, self.frame_bytes);
            *records += added as u32;
            self.buffered += held.bytes() - before;
            rows = &rows[added..];
            if !rows.is_empty() {
                self.flush(at, self.shards[at].held.bytes(), 0)?;
            }
        }
        if self.buffered > self.budget {
            self.flush_all()?;
        }
        Ok(())
    }
}

/// Makes a new file at `target` of byte ranges `(path, offset, length)` of others, by the kernel's
/// own copy where it has one, between `head` and `tail`.
#[pyfunction]
pub fn concat(
    py: Python<'_>,
    target: PathBuf,
    ranges: Vec<(PathBuf, u64, u64)>,
    head: &[u8],
    tail: &[u8],
) -> PyResult<()> {
    py.detach(|| {
        let mut out = File::create_new(&target)?;
        out.write_all(head)?;
        let mut open: Option<(PathBuf, File)> = None;
        for (path, offset, length) in ranges {
            let (path, mut file) = match open.take() {
                Some(open) if open.0 == path => open,
                _ => {
                    let file = File::open(&path)?;
                    (path, file)
                }
            };
            file.seek(SeekFrom::Start(offset))?;
            let copied = io::copy(&mut (&file).take(length), &mut out)?;
            if copied != length {
                let why = format!("{} ends {} bytes early", path.display(), length - copied);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why).into());
            }
            open = Some((path, file));
        }
        out.write_all(tail)?;
        Ok(())
    })
}
