//! Where the bytes of messages come from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use arrow_buffer::{Buffer, MutableBuffer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};

use crate::progress::has_read;

pub struct Input {
    source: Source,
    /// The position of the next byte.
    pub at: u64,
}

enum Source {
    File {
        file: File,
        end: u64,
    },
    /// What has come of the blocks, from `head` on, has not been read.
    Blocks {
        blocks: Py<PyIterator>,
        buffer: Vec<u8>,
        head: usize,
    },
    /// All that the blocks had.
    Held(Buffer),
}

impl Input {
    /// A local file by its path, or an iterable of bytes.
    pub fn open(source: &Bound<'_, PyAny>) -> PyResult<Self> {
        if source.is_instance_of::<PyString>() {
            return Ok(Self::file(source.extract()?)?);
        }
        let source = Source::Blocks {
            blocks: source.try_iter()?.unbind(),
            buffer: Vec::new(),
            head: 0,
        };
        Ok(Self { source, at: 0 })
    }

    pub fn file(path: PathBuf) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let source = Source::File { file, end };
        Ok(Self { source, at: 0 })
    }

    /// How long a file is; None where that is not known.
    pub fn size(&self) -> Option<u64> {
        match self.source {
            Source::File { end, .. } => Some(end),
            Source::Held(ref bytes) => Some(bytes.len() as u64),
            Source::Blocks { .. } => None,
        }
    }

    /// The next bytes, aligned for whatever stands there; fewer at the end of the input, so that no
    /// more memory is taken than there are bytes.
    pub fn read(&mut self, py: Python<'_>, length: u64) -> PyResult<Buffer> {
        let bytes: Buffer = match &mut self.source {
            Source::File { file, end } => {
                let at = self.at;
                let length = length.min(end.saturating_sub(at)) as usize;
                has_read(length as u64);
                py.detach(|| {
                    let mut bytes = MutableBuffer::from_len_zeroed(length);
                    file.read_exact_at(&mut bytes, at)?;
                    Ok::<_, io::Error>(bytes.into())
                })?
            }
            Source::Held(bytes) => {
                let start = usize::try_from(self.at).map_or(bytes.len(), |at| at.min(bytes.len()));
                let rest = bytes.len() - start;
                let length = usize::try_from(length).map_or(rest, |length| length.min(rest));
                Buffer::from_slice_ref(&bytes[start..start + length])
            }
            Source::Blocks {
                blocks,
                buffer,
                head,
            } => {
                let wanted = usize::try_from(length).unwrap_or(usize::MAX);
                while buffer.len() - *head < wanted {
                    let Some(block) = blocks.bind(py).clone().next() else {
                        break;
                    };
                    let block = block?;
                    buffer.drain(..*head);
                    *head = 0;
                    buffer.extend_from_slice(block.cast::<PyBytes>()?.as_bytes());
                }
                let rest = &buffer[*head..];
                let mut bytes = MutableBuffer::new(0);
                bytes.extend_from_slice(&rest[..wanted.min(rest.len())]);
                *head += bytes.len();
                bytes.into()
            }
        };
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// Reads all that is left, so that any of it can be read at any time.
    pub fn hold(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Source::Blocks { head, .. } = &mut self.source {
            *head = 0;
            self.at = 0;
            self.source = Source::Held(self.read(py, u64::MAX)?);
        }
        Ok(())
    }

    /// Reads these bytes, if the input starts with them.
    pub fn starts_with(&mut self, py: Python<'_>, magic: &[u8]) -> PyResult<bool> {
        let found = *self.read(py, magic.len() as u64)? == *magic;
        if !found {
            self.at = 0;
            if let Source::Blocks { head, .. } = &mut self.source {
                *head = 0;
            }
        }
        Ok(found)
    }
}
