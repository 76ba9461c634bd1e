//! Lines to records of a class: what parsers leave undone, Python does.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::cell::GilCell;
use crate::codec::{Codec, Shape};
use crate::columns::column::{Batch, Column, Origin, Text, Values};
use crate::columns::parse::Parsed;
use crate::columns::pending::Pending;
use crate::json;
use crate::ops::csv::{ParseCsv, Split};
use crate::ops::json::ParseJson;
use crate::state::TaskState;
use crate::text::decode_utf8;
use crate::value::{Kind, utf8};

/// How many texts of datetimes and enums are known at once.
const KNOWN: usize = 1 << 16;

pub enum Parser {
    Csv(ParseCsv),
    Split(Split),
    /// None where Python reads every line.
    Json(Option<ParseJson>),
}

/// What the texts of one field are as Gaia writes them; None for one that is no value.
type Known = HashMap<Vec<u8>, Option<Vec<u8>>>;

pub struct Parse {
    pub parser: Parser,
    known: GilCell<Vec<Known>>,
}

impl Parse {
    pub fn new(parser: Parser, shape: &Shape) -> Self {
        let known = shape.fields().map(|_| Known::new()).collect();
        Self {
            parser,
            known: GilCell::new(known),
        }
    }

    /// The records of lines. A line that is none is counted and left out.
    pub fn apply(
        &self,
        py: Python<'_>,
        lines: &Batch,
        gives: &Codec,
        state: &TaskState,
    ) -> PyResult<Vec<Batch>> {
        let text = lines.columns[0].text();
        let origin = lines.origin.as_ref().map(Origin::partly);
        let batch = |rows, columns| Batch {
            rows,
            columns,
            origin: origin.clone(),
        };
        let parsed = match &self.parser {
            Parser::Csv(parser) => py.detach(|| parser.parse(&text.data, &text.spans)),
            Parser::Split(parser) => py.detach(|| parser.parse(&text.data, &text.spans)),
            Parser::Json(parser) => {
                let (parsed, odd) = match parser {
                    Some(parser) => {
                        let parsed = py.detach(|| parser.parse(&text.data, &text.spans));
                        (Some(batch(parsed.rows, parsed.columns)), parsed.odd)
                    }
                    None => (None, (0..lines.rows as u32).collect()),
                };
                let read = by_python(py, lines, &odd, gives, state)?;
                return Ok(parsed.into_iter().chain([read]).collect());
            }
        };
        let Parsed { rows, columns, odd } = parsed;
        for (row, why) in &odd {
            state.at(lines, *row as usize);
            state.parse_error(py, PyValueError::new_err(why.clone()))?;
        }
        let made = self.make(py, batch(rows, columns), &gives.shape, state)?;
        Ok(vec![made])
    }

    /// Has Python read the fields of which it alone knows the values, and leaves out rows that have
    /// none.
    fn make(
        &self,
        py: Python<'_>,
        mut batch: Batch,
        shape: &Shape,
        state: &TaskState,
    ) -> PyResult<Batch> {
        let mut known = self.known.borrow_mut(py)?;
        let mut bad = Vec::new();
        for (i, known) in known.iter_mut().enumerate() {
            let field = shape.field(i);
            let Kind::Via { encode, decode, .. } = field.kind else {
                continue;
            };
            let mut made = Text::default();
            for row in 0..batch.rows {
                let column = &batch.columns[i];
                let given = column.text().get(row);
                if column.is_null(row) {
                    made.push(b"");
                    continue;
                }
                if !known.contains_key(given) {
                    let canonical = decode_utf8(py, given)
                        .and_then(|text| decode.bind(py).call1((text,)))
                        .and_then(|value| json::converted(encode, field.label, &value)?.str())
                        .and_then(|text| Ok(utf8(field.label, text.as_any())?.to_vec()));
                    if let Err(error) = &canonical
                        && !error.is_instance_of::<pyo3::exceptions::PyException>(py)
                    {
                        return canonical.map(|_| batch);
                    }
                    if known.len() >= KNOWN {
                        known.clear();
                    }
                    known.insert(given.to_vec(), canonical.ok());
                }
                match &known[given] {
                    Some(canonical) => made.push(canonical),
                    None => {
                        let shown = String::from_utf8_lossy(given);
                        let why = format!("{}: {shown:?} is no value of its type", field.label);
                        state.at(&batch, row);
                        state.parse_error(py, PyValueError::new_err(why))?;
                        made.push(b"");
                        bad.push(row as u32);
                    }
                }
            }
            batch.columns[i] = Column {
                values: Values::Text(made),
                nulls: batch.columns[i].nulls.take(),
            };
        }
        if bad.is_empty() {
            return Ok(batch);
        }
        let mut good = vec![true; batch.rows];
        bad.into_iter().for_each(|row| good[row as usize] = false);
        let rows = (0..batch.rows as u32).filter(|&row| good[row as usize]);
        Ok(batch.gather(&rows.collect::<Vec<_>>()))
    }
}

/// The records of some lines, as the codec reads them.
fn by_python(
    py: Python<'_>,
    lines: &Batch,
    rows: &[u32],
    gives: &Codec,
    state: &TaskState,
) -> PyResult<Batch> {
    let text = lines.columns[0].text();
    let mut pending = Pending::new(&gives.shape);
    for &row in rows {
        let line = text.get(row as usize);
        if line.trim_ascii().is_empty() {
            continue;
        }
        state.at(lines, row as usize);
        match gives.decode(py, line) {
            Ok(record) => {
                if let Err(error) = pending.push(&gives.shape, &record) {
                    state.parse_error(py, error)?;
                }
            }
            Err(error) => state.parse_error(py, error)?,
        }
    }
    Ok(pending.take(&gives.shape))
}
