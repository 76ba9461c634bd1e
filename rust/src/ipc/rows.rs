//! Rows of one shard on their way into a batch's message.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use arrow_buffer::ToByteSlice;
use arrow_ipc::FieldNode;
use pyo3::prelude::*;
use triomphe::Arc as Shared;

use crate::bundle::Held;
use crate::codec::Shape;
use crate::columns::column::{Column, Span, Values};
use crate::columns::{arrow, rows};
use crate::ipc::layout::{Layout, Stored, fits, note_zone, text_at};
use crate::ipc::pack::Packer;
use crate::value::Plain;

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
        let known = layout.dated.then(|| zones.to_vec());
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
            let (number, aware) = arrow::number_of(field, &value)?;
            note_zone(field, &mut zones[i], aware)?;
            ints.push(number);
            column.note_null(len, false);
            Ok(())
        });
        if pushed.is_err() {
            columns.iter_mut().for_each(|c| rows::truncate(c, len));
            if let Some(known) = known {
                zones.copy_from_slice(&known);
            }
        } else {
            self.rows += 1;
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

fn text_bytes(column: &Column) -> usize {
    match &column.values {
        Values::Text(text) => text.data.len(),
        _ => 0,
    }
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
