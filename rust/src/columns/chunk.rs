//! An Arrow array as its C struct shows it, on the way into a column.

use std::ops::Range;

use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::DataType;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;
use pyo3::prelude::*;
use triomphe::Arc;

use crate::columns::arrow::at_row;
use crate::columns::column::{Column, Span, Values};
use crate::columns::from_python::{lossy, other_type};
use crate::columns::memory::{bits, bytes, number, number_at};
use crate::columns::numbers::{Misfit, Number, Numbers};
use crate::columns::rows::{self, push_null, room};
use crate::columns::schema::Field;
use crate::columns::times::{write_date, write_datetime};
use crate::text::decode_utf8;
use crate::value::{Kind, Plain, explained, mismatch, refused};

/// Rows of an array that go into a column.
pub struct Chunk<'a> {
    py: Python<'a>,
    field: Field<'a>,
    schema: &'a Schema,
    array: &'a Array,
    /// Where the rows begin in the array's buffers, and how many they are.
    first: usize,
    len: usize,
    nulls: Option<Vec<bool>>,
    /// How many rows the column has before.
    start: usize,
    /// The number of the first row in messages.
    named: usize,
}

type Write<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> PyResult<()> + 'a>;

impl<'a> Chunk<'a> {
    /// The whole of an array, for a column of `start` rows.
    ///
    /// # Safety
    /// The array is alive and as the schema says.
    pub unsafe fn new(
        py: Python<'a>,
        field: Field<'a>,
        schema: &'a Schema,
        array: &'a Array,
        start: usize,
    ) -> PyResult<Self> {
        let first = array.offset();
        // SAFETY: as the caller promises.
        unsafe {
            Self::part(
                py,
                field,
                schema,
                array,
                first..first + array.len(),
                start,
                start,
            )
        }
    }

    /// Rows of an array, counted from the start of its buffers, for a column of `start` rows. `named`
    /// is the number of the first in messages.
    ///
    /// # Safety
    /// The array is alive and as the schema says, and has these rows.
    pub unsafe fn part(
        py: Python<'a>,
        field: Field<'a>,
        schema: &'a Schema,
        array: &'a Array,
        rows: Range<usize>,
        start: usize,
        named: usize,
    ) -> PyResult<Self> {
        let valid = match schema.format() {
            "n" => Some(vec![false; rows.len()]),
            _ if array.null_count() == 0 || array.num_buffers() == 0 => None,
            _ if array.buffer(0).is_null() => None,
            // SAFETY: the first buffer has a bit for every row, where it is there.
            _ => Some(unsafe { bits(array, 0, rows.clone()) }),
        };
        let chunk = Self {
            py,
            field,
            schema,
            array,
            first: rows.start,
            len: rows.len(),
            nulls: valid.map(|valid| valid.iter().map(|valid| !valid).collect()),
            start,
            named,
        };
        if let (Some(row), false) = (chunk.rows().find(|&row| chunk.is_null(row)), field.optional) {
            chunk.refuse_none(row)?;
        }
        Ok(chunk)
    }

    /// Refuses None as any value of another type.
    #[cold]
    fn refuse_none(&self, row: usize) -> PyResult<()> {
        let none = self.py.None().into_bound(self.py);
        let refused = match self.field.kind {
            // None is a value of JSON, but not of Arrow's text.
            Kind::Json { .. } => Err(mismatch(self.field.label, "JSON", &none)),
            kind => rows::push(self.field, &none, &mut rows::empty(kind), 0),
        };
        refused.map_err(|error| at_row(self.named + row, error, self.py))
    }

    fn rows(&self) -> Range<usize> {
        0..self.len
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls[row])
    }

    fn other_type(&self) -> PyErr {
        let data_type = DataType::try_from(self.schema);
        let shown = data_type.map(|data_type| data_type.to_string());
        let shown = shown.unwrap_or_else(|_| self.schema.format().to_owned());
        other_type(self.field, &shown)
    }

    fn refused(&self, row: usize, why: &str) -> PyErr {
        at_row(self.named + row, refused(self.field.label, why), self.py)
    }

    /// Appends the rows to a column of `start` rows.
    pub fn append(&self, column: &mut Column) -> PyResult<()> {
        if self.schema.dictionary().is_some() {
            return self.append_encoded(column);
        }
        match &mut column.values {
            _ if self.schema.format() == "n" => {
                self.rows()
                    .for_each(|row| push_null(column, self.start + row));
                return Ok(());
            }
            Values::Text(text) => {
                let write = self.writer()?;
                let data = Arc::make_mut(&mut text.data);
                for row in self.rows() {
                    let start = data.len();
                    if !self.is_null(row) {
                        write(row, data)?;
                    }
                    room(self.field.label, data.len())?;
                    text.spans.push(Span::new(start, data.len() - start));
                }
            }
            numbers => {
                let number = number(self.schema.format()).ok_or_else(|| self.other_type())?;
                self.read(number, numbers)?;
            }
        }
        for row in self.rows() {
            column.note_null(self.start + row, self.is_null(row));
        }
        Ok(())
    }

    /// Appends the values that the array's numbers stand for; texts stand in the column only once.
    fn append_encoded(&self, column: &mut Column) -> PyResult<()> {
        let values = self.schema.dictionary().zip(self.array.dictionary());
        let (schema, values) = values.ok_or_else(|| self.other_type())?;
        let keys = self.ints()?;
        let mut dictionary = rows::empty(self.field.kind);
        // A null among the values counts only in rows that stand for it.
        let field = Field {
            optional: true,
            ..self.field
        };
        let mut learn = |first: usize, count: usize, known: usize| {
            let first = values.offset() + first;
            let rows = first..first + count;
            // SAFETY: the dictionary lives as long as the array, and is as its own schema says.
            let part = unsafe { Chunk::part(self.py, field, schema, values, rows, known, known)? };
            part.append(&mut dictionary)
        };
        // Of a dictionary that is larger than these rows, what they use is enough.
        let partly = values.len() > self.len;
        let mut used = Vec::new();
        if partly {
            let shown = self.rows().filter(|&row| !self.is_null(row));
            used.extend(shown.filter_map(|row| usize::try_from(keys[row]).ok()));
            used.retain(|&key| key < values.len());
            used.sort_unstable();
            used.dedup();
            let mut known = 0;
            for run in used.chunk_by(|key, next| key + 1 == *next) {
                learn(run[0], run.len(), known)?;
                known += run.len();
            }
        } else {
            learn(0, values.len(), 0)?;
        }
        let place = |key: i64| {
            let key = usize::try_from(key).ok()?;
            if partly {
                used.binary_search(&key).ok()
            } else {
                (key < values.len()).then_some(key)
            }
        };
        if let (Values::Text(text), Values::Text(from)) =
            (&mut column.values, &mut dictionary.values)
        {
            let data = Arc::make_mut(&mut text.data);
            room(self.field.label, data.len() + from.data.len())?;
            for span in &mut from.spans {
                span.start += data.len() as u32;
            }
            data.extend_from_slice(&from.data);
        }
        for row in self.rows() {
            let at = self.start + row;
            if self.is_null(row) {
                push_null(column, at);
                continue;
            }
            let key = place(keys[row]);
            let key = key.ok_or_else(|| self.refused(row, "there is no such dictionary value"))?;
            if dictionary.is_null(key) && !self.field.optional {
                self.refuse_none(row)?;
            }
            match (&mut column.values, &dictionary.values) {
                (Values::Text(text), Values::Text(from)) => {
                    text.spans.push(from.spans[key]);
                    column.note_null(at, dictionary.is_null(key));
                }
                _ => column.push_from(at, &dictionary, key),
            }
        }
        Ok(())
    }

    /// Writes a row's text as a column of this field holds it.
    fn writer(&self) -> PyResult<Write<'_>> {
        Ok(match self.field.kind {
            Kind::Str | Kind::Json { .. } => {
                let text = self.texts(["u", "U", "vu"])?;
                Box::new(move |row, out| {
                    let text = str::from_utf8(text(row));
                    let text = text.map_err(|_| self.refused(row, "the text is not UTF-8"))?;
                    out.extend_from_slice(text.as_bytes());
                    Ok(())
                })
            }
            Kind::Bytes => {
                let text = self.texts(["z", "Z", "vz"])?;
                Box::new(move |row, out| {
                    out.extend_from_slice(text(row));
                    Ok(())
                })
            }
            Kind::Via { plain, decode, .. } => match plain {
                Plain::EnumStr => {
                    let text = self.texts(["u", "U", "vu"])?;
                    Box::new(move |row, out| {
                        out.extend_from_slice(text(row));
                        self.check(row, decode, text(row))
                    })
                }
                Plain::EnumInt => {
                    let ints = self.ints()?;
                    Box::new(move |row, out| {
                        let text = ints[row].to_string();
                        out.extend_from_slice(text.as_bytes());
                        self.check(row, decode, text.as_bytes())
                    })
                }
                Plain::Date if self.schema.format() == "tdD" => {
                    let days = self.ints_of(Number::I32)?;
                    let why = "expected a date in the years 1 to 9999";
                    Box::new(move |row, out| {
                        write_date(days[row], out).ok_or_else(|| self.refused(row, why))
                    })
                }
                Plain::Datetime if self.schema.format().starts_with("ts") => {
                    let (unit, zone) = self.schema.format()[2..].split_at(1);
                    let aware = zone.len() > 1;
                    let counts = self.ints_of(Number::I64)?;
                    let micros = move |count: i64| match unit {
                        "s" => count.checked_mul(1_000_000),
                        "m" => count.checked_mul(1_000),
                        "u" => Some(count),
                        _ => (count % 1_000 == 0).then_some(count / 1_000),
                    };
                    let why = "expected a datetime of whole microseconds in the years 1 to 9999";
                    Box::new(move |row, out| {
                        micros(counts[row])
                            .and_then(|micros| write_datetime(micros, aware, out))
                            .ok_or_else(|| self.refused(row, why))
                    })
                }
                _ => return Err(self.other_type()),
            },
            _ => return Err(self.other_type()),
        })
    }

    /// Checks a value by making the Python value of it.
    fn check(&self, row: usize, decode: &Py<PyAny>, text: &[u8]) -> PyResult<()> {
        let decoded = decode_utf8(self.py, text).and_then(|text| decode.call1(self.py, (text,)));
        let explain = |error| explained(self.field.label, error, self.py);
        let decoded = decoded.map_err(|error| at_row(self.named + row, explain(error), self.py));
        decoded.map(drop)
    }

    fn read(&self, number: Number, values: &mut Values) -> PyResult<()> {
        let truths;
        // SAFETY: the second buffer has a number, or a bit, for every row.
        let read = unsafe {
            let first = if number == Number::Bool {
                truths = bits(self.array, 1, self.first..self.first + self.len);
                truths.as_ptr().cast()
            } else {
                self.array.buffer(1).add(self.first * number.size())
            };
            Numbers {
                number,
                first,
                stride: number.size().cast_signed(),
                len: self.len,
            }
            .append(self.nulls.as_deref(), values)
        };
        read.map_err(|misfit| match misfit {
            Misfit::Type => self.other_type(),
            Misfit::Row(row) => self.refused(row, lossy(self.field)),
        })
    }

    fn ints(&self) -> PyResult<Vec<i64>> {
        let number = number(self.schema.format());
        self.ints_of(number.ok_or_else(|| self.other_type())?)
    }

    fn ints_of(&self, number: Number) -> PyResult<Vec<i64>> {
        let mut values = Values::Int(Vec::new());
        self.read(number, &mut values)?;
        match values {
            Values::Int(ints) => Ok(ints),
            _ => unreachable!("numbers are appended to what there is"),
        }
    }

    /// The text of a row, in an array of one of the formats: with offsets of 32 bits, with offsets of
    /// 64 bits, or with views.
    fn texts(&self, formats: [&str; 3]) -> PyResult<Box<dyn Fn(usize) -> &'a [u8] + 'a>> {
        let format = formats
            .iter()
            .position(|&format| format == self.schema.format());
        let format = format.ok_or_else(|| self.other_type())?;
        let (array, first) = (self.array, self.first);
        // SAFETY: for every row, the second buffer has an offset, and another one for the end of
        // the last, or a view; where texts stand, the buffer they stand in has them.
        Ok(unsafe {
            match format {
                0 => Box::new(move |row| {
                    let end = |i| number_at::<i32>(array.buffer(1), first + i) as usize;
                    bytes(array.buffer(2), end(row), end(row + 1) - end(row))
                }),
                1 => Box::new(move |row| {
                    let end = |i| number_at::<i64>(array.buffer(1), first + i) as usize;
                    bytes(array.buffer(2), end(row), end(row + 1) - end(row))
                }),
                _ => Box::new(move |row| {
                    // The length and, up to 12 bytes, the text; otherwise its first 4 bytes, its
                    // buffer, and where it begins there.
                    let view = array.buffer(1).add((first + row) * 16);
                    let [len, _, buffer, start] =
                        [0, 1, 2, 3].map(|i| number_at::<i32>(view, i) as usize);
                    if len <= 12 {
                        return bytes(view, 4, len);
                    }
                    bytes(array.buffer(2 + buffer), start, len)
                }),
            }
        })
    }
}
