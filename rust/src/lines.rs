//! Lines of a byte range of an input.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::cell::GilCell;

const BLOCK: usize = 256 * 1024;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The lines that start in `[start, end)` of a local file (given by its path) or of an iterator
/// of bytes (read from its beginning, so `start` is 0). So every line belongs to exactly one of
/// the ranges into which an input is cut, wherever the cuts fall.
#[pyclass(frozen, module = "gaia._core")]
pub struct Lines(GilCell<LineReader>);

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (source, start=0, end=None, *, skip_header=false, skip_bom=false, crlf=false))]
    fn new(
        source: &Bound<'_, PyAny>,
        start: u64,
        end: Option<u64>,
        skip_header: bool,
        skip_bom: bool,
        crlf: bool,
    ) -> PyResult<Self> {
        // A range that does not start the input begins one byte early: if that byte ends a line,
        // the next line is the range's own; if not, it is the previous range's.
        let base = start.saturating_sub(1);
        let blocks = if source.is_instance_of::<PyString>() {
            let mut file = File::open(source.extract::<std::path::PathBuf>()?)?;
            file.seek(SeekFrom::Start(base))?;
            Blocks::File(file)
        } else {
            Blocks::Iterator(source.try_iter()?.unbind())
        };
        Ok(Self(GilCell::new(LineReader {
            blocks,
            buffer: Vec::new(),
            head: 0,
            scanned: 0,
            base,
            end: end.unwrap_or(u64::MAX),
            crlf,
            opening: if start > 0 {
                Opening::InLine
            } else {
                Opening::Input {
                    skip_header,
                    skip_bom,
                }
            },
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
    buffer: Vec<u8>,
    /// Where the next line starts in the buffer, and how far the search for its end has come.
    head: usize,
    scanned: usize,
    /// The position in the input of the buffer's first byte.
    base: u64,
    end: u64,
    crlf: bool,
    opening: Opening,
}

enum Blocks {
    File(File),
    Iterator(Py<PyIterator>),
}

enum Opening {
    Input { skip_header: bool, skip_bom: bool },
    InLine,
    Done,
}

impl LineReader {
    /// The next line's position in the input, and where it stands in `bytes`.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<(u64, Range<usize>)>> {
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
                    self.take(py)?;
                    start = self.base + self.head as u64;
                }
            }
        }
        if start >= self.end {
            return Ok(None);
        }
        let Some((position, mut line)) = self.take(py)? else {
            return Ok(None);
        };
        // A carriage return belongs to the line end only if a newline follows.
        let ended = line.end < self.head;
        if self.crlf && ended && self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        Ok(Some((position, line)))
    }

    pub fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next line without its line end, wherever the range ends.
    fn take(&mut self, py: Python<'_>) -> PyResult<Option<(u64, Range<usize>)>> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
                let line = self.head..self.scanned + found;
                let position = self.base + line.start as u64;
                self.head = line.end + 1;
                self.scanned = self.head;
                return Ok(Some((position, line)));
            }
            self.scanned = self.buffer.len();
            if !self.fill(py)? {
                let line = self.head..self.buffer.len();
                self.head = line.end;
                let position = self.base + line.start as u64;
                return Ok((!line.is_empty()).then_some((position, line)));
            }
        }
    }

    /// Reads another block behind the rest of the buffer; false at the end of the input.
    fn fill(&mut self, py: Python<'_>) -> PyResult<bool> {
        self.buffer.drain(..self.head);
        self.base += self.head as u64;
        self.scanned -= self.head;
        self.head = 0;
        let kept = self.buffer.len();
        match &mut self.blocks {
            Blocks::File(file) => {
                self.buffer.resize(kept + BLOCK, 0);
                let space = &mut self.buffer[kept..];
                let read = py.detach(|| read_some(file, space));
                let count = *read.as_ref().unwrap_or(&0);
                self.buffer.truncate(kept + count);
                read?;
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
        py.check_signals()?;
        Ok(self.buffer.len() > kept)
    }
}

fn read_some(file: &mut File, space: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(space) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
