//! What the contexts of one task share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::exceptions::{PyBaseException, PyException};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};

use crate::cell::GilCell;
use crate::columns::column::Batch;
use crate::ops::csv::Bad;

const KEPT_ERRORS: usize = 5;

/// Where the task is in its input, and what it has counted.
#[pyclass(frozen, module = "gaia._core")]
pub struct TaskState {
    #[pyo3(get)]
    pub counters: Py<PyDict>,
    #[pyo3(get)]
    pub freq_maps: Py<PyDict>,
    input_file: GilCell<Py<PyString>>,
    pub metadata: Py<PyAny>,
    pub shard: Py<PyAny>,
    pub position: AtomicU64,
    /// Is told of every record of the input that cannot be read: position, what is wrong with it,
    /// and its bytes, as far as they are known.
    on_broken: Option<Py<PyAny>>,
    errors: GilCell<Errors>,
}

/// File, position and message.
type ParseError = (String, u64, String);

#[derive(Default)]
struct Errors {
    count: u64,
    first: Vec<ParseError>,
    failed: Option<Failed>,
    spoiled: Option<Py<PyBaseException>>,
}

/// The innermost step that an exception came out of, and the `repr` of its record.
struct Failed {
    error: Py<PyBaseException>,
    step: Py<PyString>,
    record: String,
}

#[pymethods]
impl TaskState {
    #[new]
    #[pyo3(signature = (input_file, metadata, shard, on_broken=None))]
    fn new(
        input_file: Bound<'_, PyString>,
        metadata: Py<PyAny>,
        shard: Py<PyAny>,
        on_broken: Option<Py<PyAny>>,
    ) -> Self {
        let py = input_file.py();
        Self {
            counters: PyDict::new(py).unbind(),
            freq_maps: PyDict::new(py).unbind(),
            input_file: GilCell::new(input_file.unbind()),
            metadata,
            shard,
            position: AtomicU64::new(0),
            on_broken,
            errors: GilCell::new(Errors::default()),
        }
    }

    /// Lets go of the exception, which holds on to all that the task has made.
    fn forget(&self, py: Python<'_>) -> PyResult<()> {
        let mut errors = self.errors.borrow_mut(py)?;
        let held = (errors.failed.take(), errors.spoiled.take());
        drop(errors);
        drop(held);
        Ok(())
    }

    /// The task goes on to another file of its input.
    fn enter(&self, py: Python<'_>, input_file: Py<PyString>) -> PyResult<()> {
        *self.input_file.borrow_mut(py)? = input_file;
        self.position.store(0, Relaxed);
        Ok(())
    }

    /// Counts a record, or a part of a file, that cannot be read.
    #[pyo3(signature = (position, message, line=None))]
    pub fn count_broken(
        &self,
        py: Python<'_>,
        position: u64,
        message: String,
        line: Option<&[u8]>,
    ) -> PyResult<()> {
        if let Some(told) = &self.on_broken {
            let line = line.map(|line| PyBytes::new(py, line));
            told.bind(py).call1((position, &message, line))?;
        }
        self.count_error(py, position, message)
    }

    #[getter]
    pub fn input_file(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        Ok(self.input_file.borrow_mut(py)?.clone_ref(py))
    }

    #[getter]
    fn input_pos(&self) -> u64 {
        self.position.load(Relaxed)
    }

    /// The step that an exception came out of and the `repr` of its record, or None where it came
    /// out of no step.
    fn blame(
        &self,
        error: &Bound<'_, PyBaseException>,
    ) -> PyResult<Option<(Py<PyString>, String)>> {
        let py = error.py();
        let errors = self.errors.borrow_mut(py)?;
        let failed = errors
            .failed
            .as_ref()
            .filter(|failed| failed.error.is(error));
        Ok(failed.map(|failed| (failed.step.clone_ref(py), failed.record.clone())))
    }

    /// An error that took other records with it than the one that user code was writing: the task has
    /// failed, even if user code has caught it.
    #[getter]
    fn spoiled(&self, py: Python<'_>) -> PyResult<Option<Py<PyBaseException>>> {
        let errors = self.errors.borrow_mut(py)?;
        Ok(errors.spoiled.as_ref().map(|error| error.clone_ref(py)))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.on_broken)
    }

    /// How many records failed to parse, and file, position and message of the first.
    #[getter]
    fn parse_errors(&self, py: Python<'_>) -> PyResult<(u64, Vec<ParseError>)> {
        let errors = self.errors.borrow_mut(py)?;
        Ok((errors.count, errors.first.clone()))
    }
}

impl TaskState {
    /// Counts a record that a step failed to parse.
    ///
    /// # Errors
    /// The error itself where it is no `Exception`, such as `KeyboardInterrupt`.
    pub fn parse_error(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        let message = message_of(py, error)?;
        self.count_error(py, self.position.load(Relaxed), message)
    }

    /// Counts a record of the input, at the task's position, that failed to parse, with its line if
    /// it stands on one.
    ///
    /// # Errors
    /// As `parse_error`.
    pub fn bad_line(&self, py: Python<'_>, error: PyErr, line: Option<&[u8]>) -> PyResult<()> {
        let message = message_of(py, error)?;
        self.count_broken(py, self.position.load(Relaxed), message, line)
    }

    fn count_error(&self, py: Python<'_>, position: u64, message: String) -> PyResult<()> {
        let file = self.input_file(py)?.to_string();
        let mut errors = self.errors.borrow_mut(py)?;
        errors.count += 1;
        if errors.first.len() < KEPT_ERRORS {
            errors.first.push((file, position, message));
        }
        Ok(())
    }

    /// Goes to a row of a batch that failed to parse, and counts what of it did.
    pub fn bad_row(&self, py: Python<'_>, batch: &Batch, row: usize, bad: &Bad) -> PyResult<()> {
        let counter = PyString::new(py, &format!("parse-errors-{}", bad.what));
        self.inc(&counter, 1i32.into_pyobject(py)?)?;
        self.at(batch, row);
        Ok(())
    }

    /// Adds to a counter.
    pub fn inc<'py>(&self, counter: &Bound<'py, PyString>, n: Bound<'py, PyInt>) -> PyResult<()> {
        let counters = self.counters.bind(counter.py());
        match counters.get_item(counter)? {
            Some(old) => counters.set_item(counter, old.add(n)?),
            None => counters.set_item(counter, n),
        }
    }

    /// The task is at a row of a batch.
    pub fn at(&self, batch: &Batch, row: usize) {
        if let Some(position) = batch.position(row) {
            self.position.store(position, Relaxed);
        }
    }

    /// Notes the first error that struck records which were to go on together.
    #[cold]
    pub fn spoil(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        let mut errors = self.errors.borrow_mut(py)?;
        if errors.spoiled.is_none() {
            errors.spoiled = Some(error.value(py).clone().unbind());
        }
        Ok(())
    }

    /// Whether an exception came out of a step, and not out of one further in.
    pub fn came_out_of(
        &self,
        py: Python<'_>,
        error: &PyErr,
        step: &Py<PyString>,
    ) -> PyResult<bool> {
        let errors = self.errors.borrow_mut(py)?;
        let failed = errors.failed.as_ref();
        Ok(failed.is_some_and(|failed| failed.error.is(error.value(py)) && failed.step.is(step)))
    }

    /// Notes the step that an exception comes out of, unless it was noted further in.
    #[cold]
    pub fn failed_at(
        &self,
        py: Python<'_>,
        step: &Py<PyString>,
        record: Option<&Bound<'_, PyAny>>,
        error: &PyErr,
    ) -> PyResult<()> {
        let error = error.value(py);
        let shown = record.map_or_else(String::new, |record| {
            let repr = record.repr();
            repr.map_or_else(|_| String::new(), |repr| repr.to_string())
        });
        let mut errors = self.errors.borrow_mut(py)?;
        if !errors
            .failed
            .as_ref()
            .is_some_and(|failed| failed.error.is(error))
        {
            errors.failed = Some(Failed {
                error: error.clone().unbind(),
                step: step.clone_ref(py),
                record: shown,
            });
        }
        Ok(())
    }
}

/// What a record's failure to parse tells.
///
/// # Errors
/// The error itself where it is no `Exception`.
fn message_of(py: Python<'_>, error: PyErr) -> PyResult<String> {
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    Ok(error.value(py).str()?.to_string())
}
