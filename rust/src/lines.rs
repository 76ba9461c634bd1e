//! Lines of a byte range of an input.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use triomphe::Arc;

use crate::cell::GilCell;
use crate::columns::column::Span;
use crate::columns::quotes::{Quotes, Unclosed};
use crate::progress::{Counted, has_read};

const BLOCK: usize = 256 * 1024;
/// No line is longer, as places in a block are numbers of 32 bits.
const LONGEST: usize = 3 << 30;
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// The lines that start in `[start, end)` of the content of a local file (given by its path), as it
/// is or compressed by zstd, or of an iterator of bytes. So every line belongs to exactly one of the
/// ranges into which an input is cut, wherever the cuts fall.
///
/// Content that cannot be entered anywhere is read from `origin` on, which is before `start`: a zstd
/// file from the frame at byte `offset`.
///
/// With a `delimiter`, lines are rows of CSV: a newline in quotes ends none. Then a range starts where
/// a row does (see `cuts`).
///
/// Lines are held as a whole, so one that is longer than `longest` bytes is refused before it is.
#[pyclass(frozen, module = "gaia._core")]
pub struct Lines(GilCell<LineReader>);

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (source, start=0, end=None, *, zstd=false, offset=0, origin=0,
                        skip_header=false, skip_bom=false, crlf=false, delimiter=None,
                        longest=LONGEST))]
    #[expect(clippy::too_many_arguments, reason = "all are named by the one caller")]
    fn new(
        source: &Bound<'_, PyAny>,
        start: u64,
        end: Option<u64>,
        zstd: bool,
        offset: u64,
        origin: u64,
        skip_header: bool,
        skip_bom: bool,
        crlf: bool,
        delimiter: Option<char>,
        longest: usize,
    ) -> PyResult<Self> {
        // A range that does not start the input begins one byte early: if that byte ends a line,
        // the next line is the range's own; if not, it is the previous range's.
        let base = match delimiter {
            None => start.saturating_sub(1),
            Some(_) => start,
        };
        let mut surplus = base.saturating_sub(origin);
        let blocks = if source.is_instance_of::<PyString>() {
            let path = source.extract::<std::path::PathBuf>()?;
            let mut file = File::open(&path)?;
            if zstd {
                file.seek(SeekFrom::Start(offset))?;
                Blocks::Zstd(Box::new(zstd::Decoder::new(Counted(file))?), path)
            } else {
                file.seek(SeekFrom::Start(base))?;
                surplus = 0;
                Blocks::File(file)
            }
        } else {
            Blocks::Iterator(source.try_iter()?.unbind())
        };
        Ok(Self(GilCell::new(LineReader {
            blocks,
            surplus,
            buffer: Vec::new(),
            lent: Arc::default(),
            head: 0,
            scanned: 0,
            base,
            end: end.unwrap_or(u64::MAX),
            crlf,
            longest: longest.min(LONGEST),
            opening: match start {
                0 => Opening::Input {
                    skip_header,
                    skip_bom,
                },
                _ if delimiter.is_some() => Opening::Done,
                _ => Opening::InLine,
            },
            quotes: delimiter.map(|delimiter| Quotes::new(delimiter as u8)),
        })))
    }
}

impl Lines {
    pub fn reader<'a>(&'a self, py: Python<'a>) -> PyResult<std::cell::RefMut<'a, LineReader>> {
        self.0.borrow_mut(py)
    }
}

pub struct LineReader {
    blocks: Blocks,
    /// So many bytes of the content come before the buffer's first.
    surplus: u64,
    buffer: Vec<u8>,
    /// The last block; its memory is used again once nobody else holds it.
    lent: Arc<Vec<u8>>,
    /// Where the next line starts in the buffer, and how far the search for its end has come.
    head: usize,
    scanned: usize,
    /// The position in the input of the buffer's first byte.
    base: u64,
    end: u64,
    crlf: bool,
    longest: usize,
    opening: Opening,
    /// Those of CSV, up to `scanned`.
    quotes: Option<Quotes>,
}

enum Blocks {
    File(File),
    Zstd(
        Box<zstd::Decoder<'static, BufReader<Counted<File>>>>,
        PathBuf,
    ),
    Iterator(Py<PyIterator>),
}

enum Opening {
    Input { skip_header: bool, skip_bom: bool },
    InLine,
    Done,
}

/// Whole lines: a part of some data, and the position in the input of that data's first byte.
pub struct Block {
    pub data: Arc<Vec<u8>>,
    pub lines: Range<usize>,
    pub base: u64,
}

impl LineReader {
    pub fn crlf(&self) -> bool {
        self.crlf
    }

    /// Goes to the first line, and tells where it starts; a byte order mark is part of it.
    fn open(&mut self, py: Python<'_>) -> PyResult<u64> {
        let mut start = self.base + self.head as u64;
        match std::mem::replace(&mut self.opening, Opening::Done) {
            Opening::Done => {}
            Opening::InLine => {
                self.take(py)?;
                start = self.base + self.head as u64;
            }
            Opening::Input {
                skip_header,
                skip_bom,
            } => {
                while skip_bom && self.buffer.len() < BOM.len() && self.fill(py)? {}
                if skip_bom && self.buffer.starts_with(BOM) {
                    self.head = BOM.len();
                    self.scanned = BOM.len();
                }
                if skip_header {
                    self.skip_header(py)?;
                    start = self.base + self.head as u64;
                }
            }
        }
        Ok(start)
    }

    /// The lines of about one read, as they stand in the input.
    pub fn next_block(&mut self, py: Python<'_>) -> PyResult<Option<Block>> {
        if self.open(py)? >= self.end {
            return Ok(None);
        }
        // The first byte that may not start a line of this block, counted in the buffer.
        let wanted = usize::try_from(self.end - self.base).unwrap_or(usize::MAX);
        let cut = loop {
            // Up to the last line end, but no line that starts at `wanted` or later.
            let last = if wanted <= self.buffer.len() {
                let from = self.scanned.max(wanted - 1);
                let within = memchr::memchr(b'\n', &self.buffer[from..]);
                within.map(|found| from + found + 1)
            } else {
                let within = memchr::memrchr(b'\n', &self.buffer[self.scanned..]);
                within.map(|found| self.scanned + found + 1)
            };
            if let Some(cut) = last {
                break cut;
            }
            self.check_length()?;
            self.scanned = self.buffer.len();
            let head = self.head;
            if !self.fill(py)? {
                break self.buffer.len();
            }
            if head > 0 {
                return self.next_block(py); // The buffer has moved.
            }
        };
        if cut == self.head {
            return Ok(None);
        }
        self.scanned = cut;
        Ok(Some(self.lend(cut)))
    }

    /// The rows of CSV of about one read, and the block that they stand in.
    ///
    /// # Panics
    /// If the lines are no rows.
    pub fn next_rows(&mut self, py: Python<'_>) -> PyResult<Option<(Block, Vec<Span>)>> {
        if self.open(py)? >= self.end {
            return Ok(None);
        }
        let mut ends = Vec::new();
        loop {
            let new = self.scanned..self.buffer.len();
            self.scanned = new.end;
            let quotes = self.quotes.as_mut().expect("rows of CSV");
            quotes
                .row_ends(&self.buffer, new, self.base, &mut ends)
                .map_err(unclosed)?;
            if !ends.is_empty() {
                break;
            }
            self.check_length()?;
            if !self.fill(py)? {
                ends.push(self.buffer.len() as u32);
                break;
            }
        }
        let mut rows = Vec::with_capacity(ends.len());
        let mut start = self.head;
        for end in ends {
            if self.base + start as u64 >= self.end {
                break;
            }
            let row = self.without_cr(start..end as usize);
            rows.push(Span::new(row.start, row.len()));
            start = end as usize + 1;
        }
        let cut = start.min(self.buffer.len());
        Ok((cut > self.head).then(|| (self.lend(cut), rows)))
    }

    /// The buffer up to `cut`, from which on it is kept.
    fn lend(&mut self, cut: usize) -> Block {
        let lines = self.head..cut;
        let mut next = std::mem::take(&mut self.lent);
        let rest = match Arc::get_mut(&mut next) {
            Some(free) => std::mem::take(free),
            None => Vec::new(),
        };
        let full = std::mem::replace(&mut self.buffer, rest);
        self.buffer.clear();
        self.buffer.extend_from_slice(&full[cut..]);
        self.lent = Arc::new(full);
        let base = self.base;
        self.head = 0;
        self.scanned -= cut;
        self.base += cut as u64;
        let data = Arc::clone(&self.lent);
        Block { data, lines, base }
    }

    fn check_length(&self) -> PyResult<()> {
        if self.buffer.len() - self.head > self.longest {
            let (at, most) = (self.base + self.head as u64, self.longest);
            return Err(PyValueError::new_err(format!(
                "the line at position {at} is longer than {most} bytes, the most that is held here"
            )));
        }
        Ok(())
    }

    /// The next line's position in the input, and where it stands in `bytes`.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<(u64, Range<usize>)>> {
        let start = self.open(py)?;
        if start >= self.end {
            return Ok(None);
        }
        let line = self.take(py)?;
        Ok(line.map(|(position, line)| (position, self.without_cr(line))))
    }

    /// The line without a carriage return, which belongs to its end only if a newline follows.
    fn without_cr(&self, mut line: Range<usize>) -> Range<usize> {
        let ended = line.end < self.buffer.len();
        if self.crlf && ended && self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        line
    }

    /// Takes the first line; of CSV the first row, and a blank line is none.
    fn skip_header(&mut self, py: Python<'_>) -> PyResult<()> {
        while let Some((_, line)) = self.take(py)? {
            if self.quotes.is_none() || !self.without_cr(line).is_empty() {
                break;
            }
        }
        Ok(())
    }

    pub fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next line without its line end, wherever the range ends.
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<(u64, Range<usize>)>> {
        loop {
            if let Some(end) = self.line_end()? {
                let line = self.head..end;
                let position = self.base + line.start as u64;
                self.head = line.end + 1;
                self.scanned = self.head;
                return Ok(Some((position, line)));
            }
            self.check_length()?;
            self.scanned = self.buffer.len();
            if !self.fill(py)? {
                let line = self.head..self.buffer.len();
                self.head = line.end;
                let position = self.base + line.start as u64;
                return Ok((!line.is_empty()).then_some((position, line)));
            }
        }
    }

    /// Where the next line ends, if that is in the buffer.
    fn line_end(&mut self) -> PyResult<Option<usize>> {
        let new = self.scanned..self.buffer.len();
        let Some(quotes) = &mut self.quotes else {
            let found = memchr::memchr(b'\n', &self.buffer[new]);
            return Ok(found.map(|found| self.scanned + found));
        };
        let end = quotes.first_row_end(&self.buffer, new, self.base);
        let end = end.map_err(unclosed)?;
        Ok(end.map(|end| end as usize))
    }

    /// Reads another block behind the rest of the buffer; false at the end of the input.
    fn fill(&mut self, py: Python<'_>) -> PyResult<bool> {
        self.buffer.drain(..self.head);
        self.base += self.head as u64;
        self.scanned -= self.head;
        self.head = 0;
        let kept = self.buffer.len();
        loop {
            self.read(py)?;
            let more = self.buffer.len() > kept;
            let surplus = self.surplus.min((self.buffer.len() - kept) as u64);
            if surplus > 0 {
                self.buffer.drain(kept..kept + surplus as usize);
                self.surplus -= surplus;
            }
            if self.buffer.len() > kept || !more {
                py.check_signals()?;
                return Ok(more);
            }
        }
    }

    fn read(&mut self, py: Python<'_>) -> PyResult<()> {
        match &mut self.blocks {
            Blocks::File(file) => {
                let buffer = &mut self.buffer;
                let read = py.detach(|| read_some(file, buffer))?;
                has_read(read as u64);
            }
            Blocks::Zstd(decoder, path) => {
                let buffer = &mut self.buffer;
                buffer.reserve(BLOCK);
                let read = py.detach(|| decoder.take(BLOCK as u64).read_to_end(buffer));
                read.map_err(|error| damage(py, &error, decoder.get_ref(), path))?;
            }
            Blocks::Iterator(blocks) => {
                while let Some(block) = blocks.bind(py).clone().next() {
                    let block = block?;
                    let block = block.cast::<PyBytes>()?.as_bytes();
                    if !block.is_empty() {
                        self.buffer.extend_from_slice(block);
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What failed when a zstd file was read: the system, or the data.
fn damage(
    py: Python<'_>,
    error: &io::Error,
    read: &BufReader<Counted<File>>,
    path: &Path,
) -> PyErr {
    if let Some(code) = error.raw_os_error() {
        return io::Error::from_raw_os_error(code).into();
    }
    let at = (&read.get_ref().0).stream_position().unwrap_or(0) - read.buffer().len() as u64;
    let path = path.display();
    let why = if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("{path} ends early: its last zstd frame stops at byte {at}")
    } else {
        format!("{path} is damaged: zstd data at or before byte {at}: {error}")
    };
    let input_error = py
        .import("gaia.errors")
        .and_then(|errors| errors.getattr("InputError"))
        .and_then(|class| class.call1((why,)));
    input_error.map_or_else(|error| error, PyErr::from_value)
}

pub fn unclosed(unclosed: Unclosed) -> PyErr {
    PyValueError::new_err(unclosed.to_string())
}

/// Reads a block, or what there is of it, behind what the buffer holds; returns how much.
fn read_some(file: &File, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    buffer.reserve(BLOCK);
    let space = &mut buffer.spare_capacity_mut()[..BLOCK];
    loop {
        // SAFETY: the system writes into the space, of that size, and tells how much of it.
        let read = unsafe { libc::read(file.as_raw_fd(), space.as_mut_ptr().cast(), BLOCK) };
        if let Ok(read) = usize::try_from(read) {
            // SAFETY: so many bytes behind the old length have just been written.
            unsafe { buffer.set_len(buffer.len() + read) };
            return Ok(read);
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
