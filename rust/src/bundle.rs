//! A task's output for all shards of one table: frames in the order in which buffers filled.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::compress::Frames;

/// A run of bytes in the bundle that belongs to one shard.
#[derive(Clone, Copy)]
pub struct Frame {
    pub shard: u32,
    pub records: u32,
    pub offset: u64,
    pub stored: u64,
    pub raw: u64,
}

/// A shard's buffer becomes a frame when it holds `frame_bytes`; when all of them together hold
/// `budget` bytes, every one does, so that memory is bounded for any number of shards.
pub struct Bundle {
    path: PathBuf,
    file: Option<File>,
    frames: Frames,
    shards: Vec<Shard>,
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

#[derive(Default)]
struct Shard {
    lines: Vec<u8>,
    records: u32,
    closed: bool,
}

impl Bundle {
    pub fn new(path: PathBuf, frames: Frames, frame_bytes: usize, budget: usize) -> Self {
        Self {
            path,
            file: None,
            frames,
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

    /// Adds one record, which `encode` appends with its line end. If that fails, nothing is added.
    pub fn push(
        &mut self,
        shard: u32,
        encode: impl FnOnce(&mut Vec<u8>) -> PyResult<()>,
    ) -> PyResult<()> {
        self.check()?;
        let at = self.at(shard);
        let keep = 2 * self.frame_bytes;
        let buffer = &mut self.shards[at];
        if buffer.closed {
            return Err(PyValueError::new_err(
                "a record for a shard that this task has closed",
            ));
        }
        let before = buffer.lines.len();
        if let Err(error) = encode(&mut buffer.lines) {
            buffer.lines.truncate(before);
            buffer.lines.shrink_to(keep);
            return Err(error);
        }
        buffer.records += 1;
        let size = buffer.lines.len();
        self.buffered += size - before;
        if size > self.frame_bytes && before > 0 {
            self.flush(at, before, 1)?;
        }
        if self.buffered > self.budget {
            self.flush_all()?;
        }
        Ok(())
    }

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
        if self.shards[at].closed {
            let why = "a record for a shard that this task has closed";
            return Err((rows.first().copied(), PyValueError::new_err(why)));
        }
        for &row in rows {
            let buffer = &mut self.shards[at];
            let before = buffer.lines.len();
            if let Err(error) = encode(row, &mut buffer.lines) {
                buffer.lines.truncate(before);
                return Err((Some(row), error));
            }
            buffer.records += 1;
            let size = buffer.lines.len();
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
            self.shards.resize_with(at + 1, Shard::default);
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
        self.flush(at, self.shards[at].lines.len(), 0)?;
        self.shards[at].lines = Vec::new();
        Ok(())
    }

    /// Makes a frame of a buffer's first `raw` bytes; `kept` records stay behind them.
    fn flush(&mut self, at: usize, raw: usize, kept: u32) -> io::Result<()> {
        let flushed = self.try_flush(at, raw, kept);
        if let Err(error) = &flushed {
            self.broken
                .get_or_insert(error.raw_os_error().unwrap_or(libc::EIO));
        }
        flushed
    }

    fn try_flush(&mut self, at: usize, raw: usize, kept: u32) -> io::Result<()> {
        let shard = &mut self.shards[at];
        let records = shard.records - kept;
        if records == 0 {
            return Ok(());
        }
        self.packed.clear();
        self.frames.append(&shard.lines[..raw], &mut self.packed)?;
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
        self.buffered -= raw;
        shard.lines.drain(..raw);
        shard.lines.shrink_to(2 * self.frame_bytes);
        shard.records = kept;
        Ok(())
    }
}

/// Makes a new file at `target` of byte ranges `(path, offset, length)` of others, by the kernel's
/// own copy where it has one; with `head` before them and `tail` behind.
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
