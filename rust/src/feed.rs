//! The loops that bring records to user code.

use std::sync::atomic::Ordering::Relaxed;

use pyo3::prelude::*;

use crate::codec::Codec;
use crate::context::Context;
use crate::lines::{LineReader, Lines};

/// Passes the record on every line to `target`; returns how many there were. With `lenient`, a
/// line that does not parse is counted as a parse error and left out.
#[pyfunction]
pub fn feed_lines(
    py: Python<'_>,
    lines: &Lines,
    codec: &Codec,
    target: &Context,
    lenient: bool,
) -> PyResult<u64> {
    let mut lines = lines.reader(py)?;
    let state = target.state();
    let mut count = 0;
    while let Some((position, record)) = next_record(py, &mut lines, codec)? {
        state.position.store(position, Relaxed);
        match record {
            Ok(record) => {
                count += 1;
                target.pass_on(&record)?;
                codec.take_back(record)?;
            }
            Err(error) if lenient => state.parse_error(py, error)?,
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Passes every record of an iterable to `target`, the first of them at position `start`.
#[pyfunction]
pub fn feed_records(records: &Bound<'_, PyAny>, target: &Context, start: u64) -> PyResult<u64> {
    let mut count = 0;
    for record in records.try_iter()? {
        target.state().position.store(start + count, Relaxed);
        target.pass_on(&record?)?;
        count += 1;
    }
    Ok(count)
}

/// The records on lines, as an iterator.
#[pyclass(frozen, module = "gaia._core")]
pub struct RecordReader {
    lines: Py<Lines>,
    codec: Py<Codec>,
}

#[pymethods]
impl RecordReader {
    #[new]
    fn new(lines: Py<Lines>, codec: Py<Codec>) -> Self {
        Self { lines, codec }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut lines = self.lines.get().reader(py)?;
        match next_record(py, &mut lines, self.codec.get())? {
            Some((_, record)) => record.map(Some),
            None => Ok(None),
        }
    }
}

type Positioned<'py> = (u64, PyResult<Bound<'py, PyAny>>);

fn next_record<'py>(
    py: Python<'py>,
    lines: &mut LineReader,
    codec: &Codec,
) -> PyResult<Option<Positioned<'py>>> {
    while let Some((position, line)) = lines.next(py)? {
        let line = lines.bytes(line);
        if codec.skips_blank() && line.trim_ascii().is_empty() {
            continue;
        }
        return Ok(Some((position, codec.decode(py, line))));
    }
    Ok(None)
}
