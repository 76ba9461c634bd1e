//! Rows of one shard on their way into a batch's message.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use arrow_buffer::ToByteSlice;
use arrow_ipc::{Buffer, FieldNode};
use arrow_schema::Schema;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use triomphe::Arc as Shared;

use crate::bundle::Held;
use crate::codec::{Codec, Shape};
use crate::columns::column::{Batch, Column, Span, Values};
use crate::columns::schema::Field;
use crate::columns::{arrow, rows};
use crate::ipc::buffers::Packing;
use crate::ipc::message::{self, ALIGNMENT, LARGEST_HEADER};
use crate::output::BatchFailure;
use crate::value::{Kind, Plain, refused};

/// Offsets are ints of 32 bits, and a frame has less than what is left of them.
const LONGEST: usize = (i32::MAX as usize) - LARGEST_FRAME;
pub const LARGEST_FRAME: usize = 64 << 20;

/// Datetimes of a field so far: without an offset from UTC, and with one.
pub const NAIVE: u8 = 1;
pub const AWARE: u8 = 2;

/// How the columns of a type stand in a message.
pub struct Layout {
    fields: Vec<Stored>,
    /// What a message takes besides its rows, and what a row takes besides its texts, at most.
    fixed: usize,
    per_row: usize,
}

#[derive(Clone, Copy)]
enum Stored {
    Text {
        utf8: bool,
    },
    Int,
    Float,
    Bool,
    /// A date, a datetime or an enum of ints as its number.
    Number(Plain),
}

impl Stored {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Bytes => Stored::Text { utf8: false },
            Kind::Int => Stored::Int,
            Kind::Float => Stored::Float,
            Kind::Bool => Stored::Bool,
            Kind::Via { plain, .. } if *plain != Plain::EnumStr => Stored::Number(*plain),
            Kind::Str | Kind::Json { .. } | Kind::Via { .. } => Stored::Text { utf8: true },
        }
    }

    /// Buffers besides that of the nulls.
    fn buffers(self) -> usize {
        match self {
            Stored::Text { .. } => 2,
            _ => 1,
        }
    }

    fn per_row(self) -> usize {
        match self {
            Stored::Text { .. } | Stored::Number(Plain::Date) => 4,
            Stored::Bool => 1,
            Stored::Int | Stored::Float | Stored::Number(_) => 8,
        }
    }

    fn empty(self) -> Column {
        match self {
            Stored::Text { .. } => Values::Text(Default::default()),
            Stored::Int | Stored::Number(_) => Values::Int(Vec::new()),
            Stored::Float => Values::Float(Vec::new()),
            Stored::Bool => Values::Bool(Vec::new()),
        }
        .into()
    }
}

impl Layout {
    pub fn new(shape: &Shape) -> Self {
        let fields: Vec<_> = shape.fields().map(|field| Stored::of(field.kind)).collect();
        let buffers: usize = fields.iter().map(|stored| 1 + stored.buffers()).sum();
        let described = size_of::<FieldNode>() * fields.len() + size_of::<Buffer>() * buffers;
        // A bit for a null is taken for a byte, and text has one more offset than rows.
        let nullable = shape.fields().filter(|field| field.optional).count();
        Self {
            fixed: LARGEST_HEADER + described + 2 * ALIGNMENT * buffers,
            per_row: fields.iter().map(|stored| stored.per_row()).sum::<usize>() + nullable,
            fields,
        }
    }
}

/// The message of the schema. `zones` tells for each field which datetimes there were.
#[pyfunction]
pub fn arrow_head<'py>(py: Python<'py>, codec: &Codec, zones: &[u8]) -> Bound<'py, PyBytes> {
    let fields = codec.shape.fields().enumerate().map(|(i, field)| {
        let aware = zones.get(i) == Some(&AWARE);
        arrow_schema::Field::new(field.name, arrow::data_type(field, aware), field.optional)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    PyBytes::new(py, &message::schema(&schema))
}

/// The columns as a message has them. Texts stand one behind the other from the first byte on.
#[derive(Clone)]
pub struct Rows {
    layout: Arc<Layout>,
    /// None before there are rows.
    columns: Vec<Column>,
    rows: usize,
}

impl Rows {
    pub fn new(layout: Arc<Layout>) -> Self {
        Self {
            layout,
            columns: Vec::new(),
            rows: 0,
        }
    }

    fn open(&mut self) {
        if self.columns.is_empty() {
            self.columns = self.layout.fields.iter().map(|f| f.empty()).collect();
        }
    }

    /// Adds a record whose shape has been checked; if it fails, nothing is added.
    pub fn push(
        &mut self,
        shape: &Shape,
        record: &Bound<'_, PyAny>,
        zones: &mut [u8],
    ) -> PyResult<()> {
        self.open();
        let len = self.rows;
        let Self {
            layout, columns, ..
        } = self;
        let mut fields = columns.iter_mut().zip(&layout.fields).enumerate();
        let pushed = fields.try_for_each(|(i, (column, stored))| {
            let Stored::Number(_) = stored else {
                let before = text_bytes(column);
                rows::append_field(shape, record, i, column, len)?;
                return fits(shape.field(i), text_bytes(column) - before);
            };
            let field = shape.field(i);
            let value = shape.get(record, i)?;
            if field.optional && value.is_none() {
                rows::push_null(column, len);
                return Ok(());
            }
            let Values::Int(ints) = &mut column.values else {
                unreachable!("numbers are ints");
            };
            let (number, zone) = arrow::number_of(field, &value)?;
            note_zone(field, &mut zones[i], zone)?;
            ints.push(number);
            column.note_null(len, false);
            Ok(())
        });
        match pushed {
            Ok(()) => self.rows += 1,
            Err(_) => columns.iter_mut().for_each(|c| rows::truncate(c, len)),
        }
        pushed
    }

    /// Adds rows of columns from `Layout::stored`, of which the first have to fit in so many bytes;
    /// at least one, if there are none. Returns how many were added.
    pub fn extend(&mut self, from: &[Cow<'_, Column>], rows: &[u32], bytes: usize) -> usize {
        self.open();
        let mut size = self.bytes().max(self.layout.fixed);
        let count = rows.iter().position(|&row| {
            let texts = from
                .iter()
                .map(|column| text_at(column, row as usize).len());
            size += self.layout.per_row + texts.sum::<usize>();
            size > bytes
        });
        let fitting = count.unwrap_or(rows.len());
        let count = fitting.max(usize::from(self.rows == 0)).min(rows.len());
        for (column, from) in self.columns.iter_mut().zip(from) {
            append_rows(column, self.rows, from, &rows[..count]);
        }
        self.rows += count;
        count
    }

    /// The buffers of the first rows, in the order of the format.
    fn write(&self, rows: usize, packer: &mut Packer) -> io::Result<()> {
        packer.clear();
        for (column, stored) in self.columns.iter().zip(&self.layout.fields) {
            let nulls = column.nulls.as_ref().map(|nulls| &nulls[..rows]);
            let count = nulls.map_or(0, |nulls| nulls.iter().filter(|&&null| null).count());
            packer.nodes.push(FieldNode::new(rows as i64, count as i64));
            match nulls {
                Some(nulls) if count > 0 => packer.bits(rows, |row| !nulls[row])?,
                _ => packer.buffer(&[])?,
            }
            match (&column.values, stored) {
                (Values::Text(text), _) => {
                    let end = text.spans[rows - 1].end();
                    let starts = text.spans[..rows].iter().map(|span| span.start);
                    packer.each(starts.chain([end]).map(|at| at.to_le_bytes()))?;
                    packer.buffer(&text.data[..end as usize])?;
                }
                (Values::Int(ints), Stored::Number(Plain::Date)) => {
                    packer.each(ints[..rows].iter().map(|&day| (day as i32).to_le_bytes()))?;
                }
                (Values::Int(ints), _) => packer.buffer(ints[..rows].to_byte_slice())?,
                (Values::Float(floats), _) => packer.buffer(floats[..rows].to_byte_slice())?,
                (Values::Bool(bools), _) => packer.bits(rows, |row| bools[row])?,
                (Values::Same(_), _) => unreachable!("columns that are appended to"),
            }
        }
        Ok(())
    }
}

impl Layout {
    /// The columns of a batch as messages hold them. The error is that of a row.
    pub fn stored<'a>(
        &self,
        py: Python<'_>,
        shape: &Shape,
        batch: &'a Batch,
        zones: &mut [u8],
    ) -> Result<Vec<Cow<'a, Column>>, BatchFailure> {
        let fields = shape.fields().zip(&batch.columns).zip(&self.fields);
        let stored = fields.enumerate().map(|(i, ((field, column), stored))| {
            let Stored::Number(_) = stored else {
                py.detach(|| check_texts(field, column, *stored, batch.rows))?;
                return Ok(Cow::Borrowed(column));
            };
            let number = |row| {
                if column.is_null(row) {
                    return Ok(0);
                }
                let text = column.text().get(row);
                let (number, zone) = arrow::number_of_text(py, field, text)?;
                note_zone(field, &mut zones[i], zone)?;
                Ok(number)
            };
            let numbers = (0..batch.rows).map(on_row(number));
            Ok(Cow::Owned(Column {
                values: Values::Int(numbers.collect::<Result<_, BatchFailure>>()?),
                nulls: column.nulls.clone(),
            }))
        });
        stored.collect()
    }
}

fn on_row<T>(
    mut function: impl FnMut(usize) -> PyResult<T>,
) -> impl FnMut(usize) -> Result<T, BatchFailure> {
    move |row| {
        function(row).map_err(|error| BatchFailure {
            error,
            row: Some(row),
        })
    }
}

/// # Errors
/// `ValueError` where a text is longer than a column takes, or should be UTF-8 and is not.
fn check_texts(
    field: Field<'_>,
    column: &Column,
    stored: Stored,
    rows: usize,
) -> Result<(), BatchFailure> {
    let Stored::Text { utf8 } = stored else {
        return Ok(());
    };
    (0..rows).try_for_each(on_row(|row| {
        let text = text_at(column, row);
        fits(field, text.len())?;
        if utf8 && str::from_utf8(text).is_err() {
            return Err(refused(field.label, "the text is not UTF-8"));
        }
        Ok(())
    }))
}

fn fits(field: Field<'_>, length: usize) -> PyResult<()> {
    if length <= LONGEST {
        return Ok(());
    }
    let why = format!("an ARROW table takes texts of up to {LONGEST} bytes, got one of {length}");
    Err(refused(field.label, &why))
}

fn text_bytes(column: &Column) -> usize {
    match &column.values {
        Values::Text(text) => text.data.len(),
        _ => 0,
    }
}

/// The text in a row; empty where there is none.
fn text_at(column: &Column, row: usize) -> &[u8] {
    match &column.values {
        Values::Text(text) if !column.is_null(row) => text.get(row),
        _ => b"",
    }
}

/// # Errors
/// `ValueError` where a column would have datetimes of both kinds.
fn note_zone(field: Field<'_>, seen: &mut u8, aware: Option<bool>) -> PyResult<()> {
    let zone = match aware {
        None => return Ok(()),
        Some(true) => AWARE,
        Some(false) => NAIVE,
    };
    if *seen | zone == NAIVE | AWARE {
        let (expected, got) = match zone {
            AWARE => ("without", "with"),
            _ => ("with", "without"),
        };
        let why = format!(
            "expected a datetime {expected} an offset from UTC, as there was before, got one {got}: \
             a column of an ARROW table has one kind or the other"
        );
        return Err(refused(field.label, &why));
    }
    *seen |= zone;
    Ok(())
}

/// Appends these rows of another column to one of `len` rows.
fn append_rows(column: &mut Column, len: usize, from: &Column, rows: &[u32]) {
    match (&mut column.values, &from.values) {
        (Values::Text(text), Values::Text(_)) => {
            let data = Shared::make_mut(&mut text.data);
            for &row in rows {
                let value = text_at(from, row as usize);
                text.spans.push(Span::new(data.len(), value.len()));
                data.extend_from_slice(value);
            }
        }
        (Values::Int(ints), Values::Int(other)) => {
            ints.extend(rows.iter().map(|&row| other[row as usize]));
        }
        (Values::Int(ints), Values::Same(int)) => ints.resize(len + rows.len(), *int),
        (Values::Float(floats), Values::Float(other)) => {
            floats.extend(rows.iter().map(|&row| other[row as usize]));
        }
        (Values::Bool(bools), Values::Bool(other)) => {
            bools.extend(rows.iter().map(|&row| other[row as usize]));
        }
        _ => unreachable!("columns of one layout"),
    }
    if column.nulls.is_some() || from.nulls.is_some() {
        for (i, &row) in rows.iter().enumerate() {
            column.note_null(len + i, from.is_null(row as usize));
        }
    }
}

impl Held for Rows {
    type Packer = Packer;

    fn bytes(&self) -> usize {
        if self.rows == 0 {
            return 0;
        }
        let texts: usize = self.columns.iter().map(text_bytes).sum();
        self.layout.fixed + self.rows * self.layout.per_row + texts
    }

    /// A row is added as a whole or not at all.
    fn cut(&mut self, _bytes: usize) {}

    fn shrink(&mut self, keep: usize) {
        for column in &mut self.columns {
            if let Values::Text(text) = &mut column.values {
                Shared::make_mut(&mut text.data).shrink_to(keep);
            }
        }
    }

    fn pack(
        &mut self,
        _bytes: usize,
        kept: u32,
        packer: &mut Packer,
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let rows = self.rows - kept as usize;
        self.write(rows, packer)?;
        let raw = packer.finish(rows, out);
        for column in &mut self.columns {
            if kept == 0 && column.clear() {
                continue;
            }
            let mut rest = column.empty_like();
            rest.extend(0, column, rows..self.rows);
            *column = rest;
        }
        self.rows = kept as usize;
        Ok(raw)
    }
}

/// Makes messages of buffers.
pub struct Packer {
    packing: Packing,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    body: Vec<u8>,
    /// How long the body would be without compression.
    raw: usize,
    spare: Vec<u8>,
}

impl Packer {
    pub fn new(packing: Packing) -> Self {
        Self {
            packing,
            nodes: Vec::new(),
            buffers: Vec::new(),
            body: Vec::new(),
            raw: 0,
            spare: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.buffers.clear();
        self.body.clear();
        self.raw = 0;
    }

    fn buffer(&mut self, raw: &[u8]) -> io::Result<()> {
        let start = self.body.len();
        self.packing.append(raw, &mut self.body)?;
        let length = self.body.len() - start;
        self.buffers.push(Buffer::new(start as i64, length as i64));
        message::pad(&mut self.body);
        self.raw += raw.len().next_multiple_of(ALIGNMENT);
        Ok(())
    }

    fn each<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) -> io::Result<()> {
        let mut raw = std::mem::take(&mut self.spare);
        raw.clear();
        values.for_each(|value| raw.extend_from_slice(&value));
        let done = self.buffer(&raw);
        self.spare = raw;
        done
    }

    fn bits(&mut self, rows: usize, bit: impl Fn(usize) -> bool) -> io::Result<()> {
        let byte = |first: usize| {
            let rows = first..rows.min(first + 8);
            let bits = rows.map(|row| u8::from(bit(row)) << (row - first));
            [bits.sum()]
        };
        self.each((0..rows).step_by(8).map(byte))
    }

    /// Appends the message; returns how large it would be without compression.
    fn finish(&mut self, rows: usize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let codec = self.packing.codec();
        message::batch(rows, &self.nodes, &self.buffers, codec, &self.body, out);
        out.len() - start - self.body.len() + self.raw
    }
}
