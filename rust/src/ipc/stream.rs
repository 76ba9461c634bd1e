//! A stream of messages, or the file that has one inside.

use std::collections::VecDeque;
use std::path::PathBuf;

use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_ipc::{Block, Message, MessageHeader, MetadataVersion, root_as_footer, root_as_message};
use flatbuffers::Vector;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::ipc::decode::{Decoder, rows};
use crate::ipc::input::Input;
use crate::ipc::message::CONTINUATION;

/// A file begins with these, then comes a stream; it ends with the footer, its length in four bytes, and
/// the first six of these.
const MAGIC: &[u8; 8] = b"ARROW1\0\0";
const TRAILER: u64 = 10;

/// A part of the input: offset and length.
type Range = (u64, u64);

pub struct Stream {
    messages: Messages,
    pub decoder: Decoder,
    /// Where to read on after the messages at hand.
    ranges: VecDeque<Range>,
    /// Whether only the dictionaries before the first batch are read from the messages at hand.
    in_head: bool,
}

impl Stream {
    /// Reads the schema. With `ranges`, only the batches in these are read.
    pub fn open(source: &Bound<'_, PyAny>, ranges: Option<Vec<Range>>) -> PyResult<Self> {
        let py = source.py();
        let input = Input::open(source)?;
        if ranges.is_some() && input.size().is_none() {
            let why = "expected a path, as ranges are given, got an iterator";
            return Err(PyValueError::new_err(why));
        }
        let (mut messages, footer) = Messages::open(py, input)?;
        if let Some(footer) = footer {
            messages.done = true;
            let batches = ranges.unwrap_or(footer.batches);
            return Ok(Self {
                messages,
                decoder: footer.decoder,
                ranges: footer.dictionaries.into_iter().chain(batches).collect(),
                in_head: false,
            });
        }
        let decoder = messages.schema(py)?;
        Ok(Self {
            messages,
            decoder,
            in_head: ranges.is_some(),
            ranges: ranges.unwrap_or_default().into(),
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
        let Some(range) = self.ranges.pop_front() else {
            return false;
        };
        self.messages.go_to(range);
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
    metadata: Buffer,
    body: u64,
}

impl Header {
    fn message(&self) -> PyResult<Message<'_>> {
        root_as_message(&self.metadata).map_err(|error| self.damaged(&error.to_string()))
    }

    /// How many rows a batch has; None for another message.
    fn rows(&self) -> PyResult<Option<u64>> {
        let message = self.message()?;
        let batch = message.header_as_record_batch();
        let rows = batch.map(|batch| rows(batch).map_err(|why| self.damaged(&why)));
        Ok(rows.transpose()?.map(|rows| rows as u64))
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

/// What a file tells of itself.
struct Footer {
    decoder: Decoder,
    dictionaries: Vec<Range>,
    batches: Vec<Range>,
}

impl Footer {
    fn read(py: Python<'_>, input: &mut Input, size: u64) -> PyResult<Self> {
        input.at = size.saturating_sub(TRAILER).max(MAGIC.len() as u64);
        let trailer = input.read(py, TRAILER)?;
        let start = trailer.split_first_chunk().and_then(|(length, magic)| {
            let length = u64::try_from(i32::from_le_bytes(*length)).ok()?;
            let start = (size - TRAILER).checked_sub(length)?;
            (magic == &MAGIC[..6]).then_some((start, length))
        });
        let Some((start, length)) = start else {
            let why = "the Arrow file has no footer: its end is missing or damaged";
            return Err(PyValueError::new_err(why));
        };
        input.at = start;
        let bytes = input.read(py, length)?;
        Self::parse(&bytes).map_err(|why| {
            PyValueError::new_err(format!(
                "the footer of the Arrow file, at byte {start}: {why}"
            ))
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let footer = root_as_footer(bytes).map_err(|error| error.to_string())?;
        let ranges = |blocks: Option<Vector<'_, Block>>| {
            let range = |block: &Block| {
                let offset = u64::try_from(block.offset()).ok()?;
                let header = u64::try_from(block.metaDataLength()).ok()?;
                let body = u64::try_from(block.bodyLength()).ok()?;
                Some((offset, header.checked_add(body)?))
            };
            let ranges: Option<_> = blocks.into_iter().flatten().map(range).collect();
            ranges.ok_or("a message at no place in the file")
        };
        Ok(Self {
            decoder: Decoder::new(footer.schema().ok_or("it has no schema")?)?,
            dictionaries: ranges(footer.dictionaries())?,
            batches: ranges(footer.recordBatches())?,
        })
    }
}

struct Messages {
    input: Input,
    /// Where the messages end, as far as is known.
    end: u64,
    done: bool,
}

impl Messages {
    /// The messages of a stream, or of a file with its footer.
    fn open(py: Python<'_>, mut input: Input) -> PyResult<(Self, Option<Footer>)> {
        let mut footer = None;
        if input.starts_with(py, MAGIC)? {
            // A footer is at the end, and some write the schema nowhere else as a message.
            input.hold(py)?;
            let size = input.size().unwrap_or(0);
            footer = Some(Footer::read(py, &mut input, size)?);
        }
        let messages = Self {
            input,
            end: u64::MAX,
            done: false,
        };
        Ok((messages, footer))
    }

    fn go_to(&mut self, (offset, length): Range) {
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
        if prefix.is_empty() {
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
        Ok(body)
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
    let (mut messages, footer) = Messages::open(py, input)?;
    let mut blocks = Vec::new();
    if let Some(footer) = footer {
        for range in footer.batches {
            messages.go_to(range);
            let next = messages.next(py)?;
            let header = next.ok_or_else(|| damaged(range.0, "expected a batch, got the end"))?;
            messages.skip(&header, size)?;
            // What the footer says of its length may be anything.
            let length = messages.input.at - range.0;
            blocks.push((range.0, length, header.rows()?.unwrap_or(0)));
        }
        return Ok(blocks);
    }
    messages.schema(py)?;
    let mut whole = false;
    while let Some(header) = messages.next(py)? {
        messages.skip(&header, size)?;
        match header.rows()? {
            Some(rows) => blocks.push((header.offset, messages.input.at - header.offset, rows)),
            // A dictionary for the batches behind it.
            None => whole |= !blocks.is_empty(),
        }
    }
    match (blocks.first(), blocks.last()) {
        (Some(&(first, ..)), Some(&(last, length, _))) if whole => {
            let rows = blocks.iter().map(|(.., rows)| rows).sum();
            Ok(vec![(first, last + length - first, rows)])
        }
        _ => Ok(blocks),
    }
}
