//! Rows of delimited text to records of a class: what the parsers leave undone, Python does.

use std::collections::HashMap;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use triomphe::Arc;

use crate::cell::GilCell;
use crate::codec::Shape;
use crate::columns::column::{self, Batch, Column, Origin, Text, Values};
use crate::columns::parse::{Parsed, without};
use crate::columns::schema::Field;
use crate::json;
use crate::ops::csv::{Bad, ParseCsv, Split, shown};
use crate::text::decode_utf8;
use crate::value::{Kind, Plain, utf8};

/// How many texts of datetimes and enums are known at once.
const KNOWN: usize = 1 << 16;

pub enum Parser {
    Csv(ParseCsv),
    Split(Split),
}

/// What the texts of one field are as Gaia writes them; None for one that is no value.
type Known = HashMap<Vec<u8>, Option<Vec<u8>>>;

pub struct Delimited {
    pub parser: Parser,
    known: GilCell<Vec<Known>>,
}

impl Delimited {
    /// For records of a shape, whose fields are those that the parser reads.
    pub fn new(parser: Parser, shape: &Shape) -> Self {
        let known = shape.fields().map(|_| Known::new()).collect();
        Self {
            parser,
            known: GilCell::new(known),
        }
    }

    /// The records of lines. Each line that is none goes to `on_bad`, in a batch and by its row there.
    pub fn records(
        &self,
        py: Python<'_>,
        lines: &Batch,
        shape: &Shape,
        mut on_bad: impl FnMut(&Batch, usize, Bad) -> PyResult<()>,
    ) -> PyResult<Batch> {
        let text = lines.columns[0].text();
        let Parsed { rows, columns, odd } = py.detach(|| match &self.parser {
            Parser::Csv(parser) => parser.parse(&text.data, &text.spans),
            Parser::Split(parser) => parser.parse(&text.data, &text.spans),
        });
        let origin = lines.origin.as_ref().map(|origin| {
            let bad: Vec<u32> = odd.iter().map(|(row, _)| *row).collect();
            let good = without(lines.rows, &bad);
            match origin.partly() {
                Origin::Block(block) if Arc::ptr_eq(&block.data, &text.data) => {
                    let start = |&row: &u32| text.spans[row as usize].start;
                    let starts = Some(good.iter().map(start).collect());
                    Origin::Block(column::Lines { starts, ..block })
                }
                _ => origin.gather(&good),
            }
        });
        for (row, bad) in odd {
            on_bad(lines, row as usize, bad)?;
        }
        let batch = Batch {
            rows,
            columns,
            origin,
        };
        self.made(py, batch, shape, on_bad)
    }

    /// Has Python read the fields of which it alone knows the values, and leaves out rows that have
    /// none.
    fn made(
        &self,
        py: Python<'_>,
        mut batch: Batch,
        shape: &Shape,
        mut on_bad: impl FnMut(&Batch, usize, Bad) -> PyResult<()>,
    ) -> PyResult<Batch> {
        let mut known = self.known.borrow_mut(py)?;
        let mut good = vec![true; batch.rows];
        for (i, known) in known.iter_mut().enumerate() {
            let field = shape.field(i);
            let Kind::Via { plain, .. } = field.kind else {
                continue;
            };
            let what = match plain {
                Plain::Date => "date",
                Plain::Datetime => "datetime",
                Plain::EnumStr | Plain::EnumInt => "enum",
            };
            // An empty text in quotes may be the value of an enum, but no date.
            let empty_is_none = field.optional && *plain != Plain::EnumStr;
            let column = &batch.columns[i];
            let mut made = Column::from(Values::Text(Text::default()));
            for (row, good) in good.iter_mut().enumerate() {
                let given = column.text().get(row);
                let is_none = column.is_null(row) || given.is_empty() && empty_is_none;
                let canonical = match is_none {
                    true => None,
                    false => canonical(py, field, known, given)?,
                };
                if canonical.is_none() && !is_none && *good {
                    *good = false;
                    let why = format!("{}: {} is no {what} of its type", field.label, shown(given));
                    on_bad(&batch, row, Bad { what, why })?;
                }
                if let Values::Text(text) = &mut made.values {
                    text.push(canonical.unwrap_or_default());
                }
                made.note_null(row, is_none);
            }
            batch.columns[i] = made;
        }
        if good.iter().all(|&good| good) {
            return Ok(batch);
        }
        let rows = (0..batch.rows as u32).filter(|&row| good[row as usize]);
        Ok(batch.gather(&rows.collect::<Vec<_>>()))
    }
}

/// The text of a field as Gaia writes it; None if it is no value.
fn canonical<'a>(
    py: Python<'_>,
    field: Field<'_>,
    known: &'a mut Known,
    given: &[u8],
) -> PyResult<Option<&'a [u8]>> {
    let Kind::Via { encode, decode, .. } = field.kind else {
        unreachable!("a field that Python reads");
    };
    if !known.contains_key(given) {
        let canonical = decode_utf8(py, given)
            .and_then(|text| decode.bind(py).call1((text,)))
            .and_then(|value| json::converted(encode, field.label, &value)?.str())
            .and_then(|text| Ok(utf8(field.label, text.as_any())?.to_vec()));
        if let Err(error) = &canonical
            && !error.is_instance_of::<PyException>(py)
        {
            return canonical.map(|_| None);
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(given.to_vec(), canonical.ok());
    }
    Ok(known[given].as_deref())
}
