//! A stream of messages, or the file that has one inside.

use std::collections::VecDeque;
use std::path::PathBuf;

use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_ipc::{Message, MessageHeader, MetadataVersion, root_as_message};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::ipc::decode::{Decoder, rows};
use crate::ipc::input::Input;
use crate::ipc::message::CONTINUATION;

/// A file begins with these, then comes a stream; it ends with the footer, its length in four bytes, and
/// the first six of these.
const MAGIC: &[u8; 8] = b"ARROW1\0\0";
const TRAILER: u64 = 10;

pub struct Stream {
    messages: Messages,
    pub decoder: Decoder,
    /// Where to read, once the dictionaries before the first batch are known.
    ranges: Option<VecDeque<(u64, u64)>>,
    in_head: bool,
}

impl Stream {
    /// Reads the schema. With `ranges`, only the messages in these are read, of `(offset, length)`.
    pub fn open(source: &Bound<'_, PyAny>, ranges: Option<Vec<(u64, u64)>>) -> PyResult<Self> {
        let py = source.py();
        let mut messages = Messages::open(py, Input::open(source)?)?;
        if ranges.is_some() && messages.input.size().is_none() {
            let why = "expected a path, as ranges are given, got an iterator";
            return Err(PyValueError::new_err(why));
        }
        let decoder = messages.schema(py)?;
        Ok(Self {
            messages,
            decoder,
            in_head: ranges.is_some(),
            ranges: ranges.map(VecDeque::from),
        })
    }

    /// The next batch: how many rows it has, and some of its columns.
    pub fn next(
        &mut self,
        py: Python<'_>,
        wanted: &[usize],
    ) -> PyResult<Option<(usize, Vec<ArrayData>)>> {
        loop {
            let Some(header) = self.messages.next(py)? else {
                if !self.next_range() {
                    return Ok(None);
                }
                continue;
            };
            let kind = header.message()?.header_type();
            if self.in_head && kind == MessageHeader::RecordBatch {
                self.next_range();
                continue;
            }
            let body = self.messages.body(py, &header)?;
            let decoder = &mut self.decoder;
            let found = py.detach(|| {
                let message = header.message()?;
                let version = message.version();
                let found = match kind {
                    MessageHeader::RecordBatch => message
                        .header_as_record_batch()
                        .ok_or("a batch without a description".to_owned())
                        .and_then(|batch| decoder.batch(batch, version, &body, wanted))
                        .map(Some),
                    MessageHeader::DictionaryBatch => message
                        .header_as_dictionary_batch()
                        .ok_or("a dictionary without a description".to_owned())
                        .and_then(|dictionary| decoder.learn(dictionary, version, &body))
                        .map(|()| None),
                    other => Err(unexpected(other)),
                };
                found.map_err(|why| header.damaged(&why))
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Goes on to the next range; false if there is none.
    fn next_range(&mut self) -> bool {
        self.in_head = false;
        let next = self.ranges.as_mut().and_then(VecDeque::pop_front);
        let Some((offset, length)) = next else {
            return false;
        };
        self.messages.go_to(offset, length);
        true
    }
}

fn unexpected(kind: MessageHeader) -> String {
    let name = kind.variant_name().unwrap_or("unknown");
    format!("expected a batch of records or a dictionary, got a message of kind {name}")
}

/// A message without its body.
struct Header {
    offset: u64,
    metadata: MutableBuffer,
    body: u64,
}

impl Header {
    fn message(&self) -> PyResult<Message<'_>> {
        root_as_message(&self.metadata).map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, why: &str) -> PyErr {
        damaged(self.offset, why)
    }
}

#[cold]
fn damaged(offset: u64, why: &str) -> PyErr {
    PyValueError::new_err(format!("the Arrow message at byte {offset}: {why}"))
}

#[cold]
fn early(offset: u64, expected: u64, got: usize) -> PyErr {
    damaged(
        offset,
        &format!("it ends early: {expected} bytes were expected, there are {got}"),
    )
}

struct Messages {
    input: Input,
    /// Where the messages end, as far as is known.
    end: u64,
    /// Whether the last message has to say that it is.
    closed: bool,
    done: bool,
}

impl Messages {
    fn open(py: Python<'_>, mut input: Input) -> PyResult<Self> {
        let is_file = input.starts_with(py, MAGIC)?;
        let mut end = u64::MAX;
        if let (true, Some(size)) = (is_file, input.size()) {
            input.at = size.saturating_sub(TRAILER).max(MAGIC.len() as u64);
            let trailer = input.read(py, TRAILER)?;
            let footer = trailer.split_first_chunk().and_then(|(length, magic)| {
                let length = u64::try_from(i32::from_le_bytes(*length)).ok()?;
                (magic == &MAGIC[..6]).then_some(length)
            });
            let start = footer.and_then(|length| (size - TRAILER).checked_sub(length));
            end = start.ok_or_else(|| {
                let why = "the Arrow file has no footer: its end is missing or damaged";
                PyValueError::new_err(why)
            })?;
            input.at = MAGIC.len() as u64;
        }
        Ok(Self {
            closed: is_file && input.size().is_none(),
            input,
            end,
            done: false,
        })
    }

    fn go_to(&mut self, offset: u64, length: u64) {
        self.input.at = offset;
        self.end = offset.saturating_add(length);
        self.done = false;
    }

    fn schema(&mut self, py: Python<'_>) -> PyResult<Decoder> {
        let header = self.next(py)?;
        let header = header.ok_or_else(|| damaged(0, "expected a schema, got nothing"))?;
        let message = header.message()?;
        let Some(schema) = message.header_as_schema() else {
            let name = message.header_type().variant_name().unwrap_or("unknown");
            return Err(header.damaged(&format!("expected a schema, got one of kind {name}")));
        };
        let decoder = Decoder::new(schema).map_err(|why| header.damaged(&why))?;
        self.body(py, &header)?;
        Ok(decoder)
    }

    /// The next message, whose body has to be read or skipped.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Header>> {
        py.check_signals()?;
        let offset = self.input.at;
        if self.done || offset >= self.end {
            return Ok(None);
        }
        let mut prefix = self.input.read(py, 4)?;
        if prefix.is_empty() && !self.closed {
            self.done = true;
            return Ok(None);
        }
        // Before version 0.15, messages began with their length.
        if *prefix == CONTINUATION {
            prefix = self.input.read(py, 4)?;
        }
        let Some((length, [])) = prefix.split_first_chunk() else {
            return Err(early(offset, 4, prefix.len()));
        };
        let length = i32::from_le_bytes(*length);
        if length == 0 {
            self.done = true;
            return Ok(None);
        }
        let Ok(expected) = u64::try_from(length) else {
            return Err(damaged(offset, &format!("a header of {length} bytes")));
        };
        let metadata = self.input.read(py, expected)?;
        if metadata.len() as u64 != expected {
            return Err(early(offset, expected, metadata.len()));
        }
        let mut header = Header {
            offset,
            metadata,
            body: 0,
        };
        let message = header.message()?;
        let version = message.version();
        if !(MetadataVersion::V4..=MetadataVersion::V5).contains(&version) {
            let version = version.0;
            return Err(damaged(
                offset,
                &format!("format version {version}, which is unknown"),
            ));
        }
        let length = message.bodyLength();
        header.body = u64::try_from(length)
            .map_err(|_| damaged(offset, &format!("a body of {length} bytes")))?;
        Ok(Some(header))
    }

    fn body(&mut self, py: Python<'_>, header: &Header) -> PyResult<Buffer> {
        let body = self.input.read(py, header.body)?;
        if body.len() as u64 != header.body {
            return Err(early(header.offset, header.body, body.len()));
        }
        Ok(body.into())
    }

    /// Skips a body in a file of so many bytes.
    fn skip(&mut self, header: &Header, size: u64) -> PyResult<()> {
        let left = size.saturating_sub(self.input.at);
        if header.body > left {
            return Err(early(header.offset, header.body, left as usize));
        }
        self.input.at += header.body;
        Ok(())
    }
}

/// Where the batches of a local file stand, as `(offset, length, rows)`; if one cannot be read without
/// those before it, all of them as one.
#[pyfunction]
pub fn arrow_blocks(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(u64, u64, u64)>> {
    let input = Input::file(path)?;
    let size = input.size().unwrap_or(0);
    let mut messages = Messages::open(py, input)?;
    messages.schema(py)?;
    let mut blocks: Vec<(u64, u64, u64)> = Vec::new();
    let mut whole = false;
    while let Some(header) = messages.next(py)? {
        messages.skip(&header, size)?;
        let message = header.message()?;
        if let Some(batch) = message.header_as_record_batch() {
            let rows = rows(batch).map_err(|why| header.damaged(&why))?;
            let length = messages.input.at - header.offset;
            blocks.push((header.offset, length, rows as u64));
        } else {
            whole |= !blocks.is_empty();
        }
    }
    if let (true, Some(&(first, ..)), Some(&(last, length, _))) =
        (whole, blocks.first(), blocks.last())
    {
        let rows = blocks.iter().map(|(.., rows)| rows).sum();
        return Ok(vec![(first, last + length - first, rows)]);
    }
    Ok(blocks)
}
