//! How the columns of a type stand in Arrow's messages.

use std::borrow::Cow;

use arrow_ipc::{Buffer, FieldNode};
use arrow_schema::Schema;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::codec::{Codec, Shape};
use crate::columns::arrow;
use crate::columns::column::{Batch, Column, Values};
use crate::columns::schema::Field;
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
    pub fields: Vec<Stored>,
    /// What a message takes besides its rows, and what a row takes besides its texts, at most.
    pub fixed: usize,
    pub per_row: usize,
    /// Whether there are datetimes.
    pub dated: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Stored {
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

    pub fn empty(self) -> Column {
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
            dated: fields.contains(&Stored::Number(Plain::Datetime)),
            fields,
        }
    }

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

pub fn fits(field: Field<'_>, length: usize) -> PyResult<()> {
    if length <= LONGEST {
        return Ok(());
    }
    let why = format!("an ARROW table takes texts of up to {LONGEST} bytes, got one of {length}");
    Err(refused(field.label, &why))
}

/// # Errors
/// `ValueError` where a column would have datetimes of both kinds.
pub fn note_zone(field: Field<'_>, seen: &mut u8, aware: Option<bool>) -> PyResult<()> {
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

/// The text in a row; empty where there is none.
pub fn text_at(column: &Column, row: usize) -> &[u8] {
    match &column.values {
        Values::Text(text) if !column.is_null(row) => text.get(row),
        _ => b"",
    }
}
