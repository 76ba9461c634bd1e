//! The loops that bring records to user code.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use triomphe::Arc;

use crate::cell::GilCell;
use crate::codec::{Codec, Shape};
use crate::columns::column::{self, Batch, Column, Origin, Span, Text, Values};
use crate::columns::parse::FieldSpec;
use crate::columns::{rows, txt};
use crate::context::Context;
use crate::ipc::batches::Batches;
use crate::lines::{Block, LineReader, Lines};
use crate::ops::csv::Bad;
use crate::progress::passed_on;
use crate::state::TaskState;
use crate::value::Kind;

/// Passes the record on every line to `target`, or on the first lines, until `limit` records were
/// read; returns how many there were. With `lenient`, a line that does not parse is counted as a
/// parse error and left out.
#[pyfunction]
#[pyo3(signature = (lines, codec, target, lenient, limit=None))]
pub fn feed_lines(
    py: Python<'_>,
    lines: &Lines,
    codec: &Codec,
    target: &Context,
    lenient: bool,
    limit: Option<u64>,
) -> PyResult<u64> {
    let mut lines = lines.reader(py)?;
    let most = limit.unwrap_or(u64::MAX);
    if codec.csv().is_some() {
        return feed_rows(py, &mut lines, codec, target, lenient, most);
    }
    // Lines of a block are not read in their order, so which are the first would not be known.
    if target.takes_batches() && limit.is_none() {
        return feed_blocks(py, &mut lines, codec, target, lenient);
    }
    let mut count = 0;
    while count < most
        && let Some((position, line, record)) = next_record(py, &mut lines, codec)?
    {
        let line = lines.bytes(line);
        count += pass_on(py, codec, target, position, Some(line), record, lenient)?;
    }
    Ok(count)
}

fn pass_on(
    py: Python<'_>,
    codec: &Codec,
    target: &Context,
    position: u64,
    line: Option<&[u8]>,
    record: PyResult<Bound<'_, PyAny>>,
    lenient: bool,
) -> PyResult<u64> {
    let state = target.state();
    state.position.store(position, Relaxed);
    match record {
        Ok(record) => {
            target.pass_on(&record)?;
            codec.take_back(record)?;
            passed_on(1);
            Ok(1)
        }
        Err(error) if lenient => state.bad_line(py, error, line).map(|()| 0),
        Err(error) => Err(error),
    }
}

/// As `feed_lines`, a block at a time; a line that is not plainly a record is read by itself.
fn feed_blocks(
    py: Python<'_>,
    lines: &mut LineReader,
    codec: &Codec,
    target: &Context,
    lenient: bool,
) -> PyResult<u64> {
    let mut count = 0;
    while let Some(block) = lines.next_block(py)? {
        let crlf = lines.crlf();
        let (batch, odd) = py.detach(|| read_block(&block, codec, crlf));
        count += batch.rows as u64;
        target.state().position.store(block.base, Relaxed);
        target.pass_on_batch(py, &batch)?;
        passed_on(batch.rows as u64);
        drop(batch);
        for line in odd {
            let line_position = block.base + u64::from(line.start);
            let line = line.of(&block.data);
            if codec.skips_blank() && line.trim_ascii().is_empty() {
                continue;
            }
            let record = codec.decode(py, line);
            count += pass_on(
                py,
                codec,
                target,
                line_position,
                Some(line),
                record,
                lenient,
            )?;
        }
    }
    Ok(count)
}

/// The records of a block in columns, and the lines that are none, or have to be read by Python.
fn read_block(block: &Block, codec: &Codec, crlf: bool) -> (Batch, Vec<Span>) {
    let Block { data, lines, base } = block;
    let mut odd = Vec::new();
    let parsed = codec.fields().and_then(|fields| {
        // Other encodings are read here as far as they are ASCII.
        let plain = codec.is_utf8() || data[lines.clone()].is_ascii();
        let read = |fields: &[FieldSpec]| match (&codec.shape, fields) {
            (Shape::Value(_), [field]) => txt::decode_bare(data, lines.clone(), crlf, field.kind),
            _ => txt::decode(data, lines.clone(), fields),
        };
        plain.then(|| read(fields))
    });
    let Some(parsed) = parsed else {
        txt::lines(data, lines.clone(), crlf, &mut odd);
        return (
            Batch {
                rows: 0,
                columns: Vec::new(),
                origin: None,
            },
            odd,
        );
    };
    let lone = matches!(codec.shape, Shape::Value(_));
    let whole = (lone && parsed.odd.is_empty()).then(|| lines.clone());
    let batch = Batch {
        rows: parsed.rows,
        columns: parsed.columns,
        origin: Some(Origin::Block(column::Lines {
            data: Arc::clone(data),
            base: *base,
            lines: whole,
            starts: None,
        })),
    };
    (batch, parsed.odd)
}

/// As `feed_lines`, of CSV.
fn feed_rows(
    py: Python<'_>,
    lines: &mut LineReader,
    codec: &Codec,
    target: &Context,
    lenient: bool,
    most: u64,
) -> PyResult<u64> {
    let state = target.state();
    let mut count = 0;
    while count < most
        && let Some((base, rows)) = next_rows(py, lines, codec)?
    {
        let mut start = 0;
        while count < most && start < rows.rows {
            let wanted = usize::try_from(most - count).unwrap_or(usize::MAX);
            let end = rows.rows.min(start.saturating_add(wanted));
            let some = (end - start < rows.rows).then(|| {
                let numbers: Vec<u32> = (start as u32..end as u32).collect();
                rows.gather(&numbers)
            });
            let rows = some.as_ref().unwrap_or(&rows);
            let batch = records_of(py, codec, rows, |rows, row, bad| {
                if lenient {
                    state.bad_row(py, rows, row, &bad)?;
                    let line = rows.columns[0].text().get(row);
                    return state.bad_line(py, PyValueError::new_err(bad.why), Some(line));
                }
                state.at(rows, row);
                Err(PyValueError::new_err(bad.why))
            })?;
            count += batch.rows as u64;
            state.position.store(base, Relaxed);
            target.pass_on_batch(py, &batch)?;
            passed_on(batch.rows as u64);
            start = end;
        }
    }
    Ok(count)
}

/// The next rows of CSV as texts, and the position of the block that they stand in.
fn next_rows(
    py: Python<'_>,
    lines: &mut LineReader,
    codec: &Codec,
) -> PyResult<Option<(u64, Batch)>> {
    let Some((block, mut spans)) = lines.next_rows(py)? else {
        return Ok(None);
    };
    if codec.skips_blank() {
        spans.retain(|row| row.len > 0);
    }
    let Block { data, base, .. } = block;
    let rows = Batch {
        rows: spans.len(),
        columns: vec![Column::from(Values::Text(Text {
            data: Arc::clone(&data),
            spans,
        }))],
        origin: Some(Origin::Block(column::Lines {
            data,
            base,
            lines: None,
            starts: None,
        })),
    };
    Ok(Some((base, rows)))
}

/// The records in rows of CSV.
fn records_of(
    py: Python<'_>,
    codec: &Codec,
    rows: &Batch,
    on_bad: impl FnMut(&Batch, usize, Bad) -> PyResult<()>,
) -> PyResult<Batch> {
    let csv = codec.csv().expect("a codec of CSV");
    csv.records(py, rows, &codec.shape, on_bad)
}

/// Passes the record in every row to `target`, or in the first rows, until `limit` records were
/// read; returns how many there were. With `lenient`, a row that does not parse is counted as a
/// parse error and left out.
#[pyfunction]
#[pyo3(signature = (batches, codec, target, lenient, limit=None))]
pub fn feed_batches(
    batches: &Batches,
    codec: &Bound<'_, Codec>,
    target: &Context,
    lenient: bool,
    limit: Option<u64>,
) -> PyResult<u64> {
    let py = codec.py();
    let mut reader = batches.reader(py)?;
    let state = target.state();
    let most = limit.unwrap_or(u64::MAX);
    let mut count = 0;
    while count < most
        && let Some(window) = reader.next(codec)?
    {
        state.position.store(window.number, Relaxed);
        if window.rows.len() as u64 <= most - count {
            match reader.batch(py, &window) {
                Ok(batch) => {
                    count += feed_batch(codec, &batch, target, lenient)?;
                    continue;
                }
                Err(error) if !lenient => return Err(error),
                Err(_) => {}
            }
        }
        // Some row is to blame, or not all are wanted: each is read by itself.
        for row in window.each() {
            if count == most {
                break;
            }
            state.position.store(row.number, Relaxed);
            match reader.batch(py, &row) {
                Ok(batch) => count += feed_batch(codec, &batch, target, lenient)?,
                Err(error) if !lenient => return Err(error),
                Err(error) => state.bad_line(py, error, None)?,
            }
        }
    }
    Ok(count)
}

fn feed_batch(
    codec: &Bound<'_, Codec>,
    batch: &Batch,
    target: &Context,
    lenient: bool,
) -> PyResult<u64> {
    let (py, codec) = (codec.py(), codec.get());
    if !target.takes_batches() {
        let mut count = 0;
        for row in 0..batch.rows {
            let position = batch.position(row).unwrap_or(0);
            let record = rows::record(py, &codec.shape, &batch.columns, row);
            count += pass_on(py, codec, target, position, None, record, lenient)?;
        }
        return Ok(count);
    }
    let mut count = batch.rows;
    if lenient && let Some(good) = readable(py, codec, batch, target.state())? {
        count = good.len();
        target.pass_on_batch(py, &batch.gather(&good))?;
    } else {
        target.pass_on_batch(py, batch)?;
    }
    passed_on(count as u64);
    Ok(count as u64)
}

/// The rows whose JSON can be read, if they are not all of them; the others are counted as parse
/// errors. All other values were read on their way into the columns.
fn readable(
    py: Python<'_>,
    codec: &Codec,
    batch: &Batch,
    state: &TaskState,
) -> PyResult<Option<Vec<u32>>> {
    let fields = codec.shape.fields().zip(&batch.columns);
    let json = fields.filter(|(field, _)| matches!(field.kind, Kind::Json { .. }));
    let json: Vec<_> = json.collect();
    let mut good = Vec::new();
    for row in 0..batch.rows {
        let mut values = json.iter();
        match values.try_for_each(|(field, column)| rows::value(py, *field, column, row).map(drop))
        {
            Ok(()) => good.push(row as u32),
            Err(error) => {
                state.at(batch, row);
                state.bad_line(py, error, None)?;
            }
        }
    }
    Ok((good.len() < batch.rows).then_some(good))
}

/// Passes every record of an iterable to `target`, the first of them at position `start`.
#[pyfunction]
pub fn feed_records(records: &Bound<'_, PyAny>, target: &Context, start: u64) -> PyResult<u64> {
    let mut count = 0;
    for record in records.try_iter()? {
        target.state().position.store(start + count, Relaxed);
        target.pass_on(&record?)?;
        passed_on(1);
        count += 1;
    }
    Ok(count)
}

/// Passes the record of every pair of a position and a record to `target`.
#[pyfunction]
pub fn feed_positioned(records: &Bound<'_, PyAny>, target: &Context) -> PyResult<u64> {
    let mut count = 0;
    for pair in records.try_iter()? {
        let (position, record): (u64, Bound<'_, PyAny>) = pair?.extract()?;
        target.state().position.store(position, Relaxed);
        target.pass_on(&record)?;
        passed_on(1);
        count += 1;
    }
    Ok(count)
}

/// The records on lines, as an iterator.
#[pyclass(frozen, module = "gaia._core")]
pub struct RecordReader {
    lines: Py<Lines>,
    codec: Py<Codec>,
    /// Of CSV, records that have been read, and how many of them have been given out.
    ready: GilCell<Option<(Batch, usize)>>,
}

#[pymethods]
impl RecordReader {
    #[new]
    fn new(lines: Py<Lines>, codec: Py<Codec>) -> Self {
        Self {
            lines,
            codec,
            ready: GilCell::new(None),
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut lines = self.lines.get().reader(py)?;
        let codec = self.codec.get();
        if codec.csv().is_some() {
            return self.next_of_csv(py, &mut lines);
        }
        match next_record(py, &mut lines, codec)? {
            Some((_, _, record)) => record.map(Some),
            None => Ok(None),
        }
    }
}

impl RecordReader {
    fn next_of_csv<'py>(
        &self,
        py: Python<'py>,
        lines: &mut LineReader,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let codec = self.codec.get();
        let mut ready = self.ready.borrow_mut(py)?;
        loop {
            if let Some((batch, done)) = &mut *ready
                && *done < batch.rows
            {
                *done += 1;
                return rows::record(py, &codec.shape, &batch.columns, *done - 1).map(Some);
            }
            let refuse = |rows: &Batch, row, bad: Bad| {
                let at = rows.position(row).unwrap_or(0);
                let why = bad.why;
                Err(PyValueError::new_err(format!("position {at}: {why}")))
            };
            let Some((_, rows)) = next_rows(py, lines, codec)? else {
                return Ok(None);
            };
            *ready = Some((records_of(py, codec, &rows, refuse)?, 0));
        }
    }
}

/// Where a line starts in the input and stands in the reader, and its record.
type Positioned<'py> = (u64, Range<usize>, PyResult<Bound<'py, PyAny>>);

fn next_record<'py>(
    py: Python<'py>,
    lines: &mut LineReader,
    codec: &Codec,
) -> PyResult<Option<Positioned<'py>>> {
    while let Some((position, range)) = lines.next(py)? {
        let line = lines.bytes(range.clone());
        if codec.skips_blank() && line.trim_ascii().is_empty() {
            continue;
        }
        return Ok(Some((position, range, codec.decode(py, line))));
    }
    Ok(None)
}
