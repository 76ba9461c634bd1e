//! Lines of JSON to records of a class: what the parser leaves undone, Python does.

use pyo3::prelude::*;

use crate::codec::Codec;
use crate::columns::column::{Batch, Origin};
use crate::columns::pending::Pending;
use crate::ops::json::ParseJson;
use crate::state::TaskState;

/// The records of lines. A line that is none is counted and left out. Without a parser, Python reads
/// every line.
pub fn parse_json(
    py: Python<'_>,
    parser: Option<&ParseJson>,
    lines: &Batch,
    gives: &Codec,
    state: &TaskState,
) -> PyResult<Vec<Batch>> {
    let Some(parser) = parser else {
        let all: Vec<u32> = (0..lines.rows as u32).collect();
        return Ok(vec![by_python(py, lines, &all, gives, state)?]);
    };
    let text = lines.columns[0].text();
    let parsed = py.detach(|| parser.parse(&text.data, &text.spans));
    let read = Batch {
        rows: parsed.rows,
        columns: parsed.columns,
        origin: lines.origin.as_ref().map(Origin::partly),
    };
    Ok(vec![read, by_python(py, lines, &parsed.odd, gives, state)?])
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
