//! What user code writes through.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};

use crate::cell::GilCell;
use crate::codec::Codec;
use crate::columns::column::Batch;
use crate::columns::from_python;
use crate::columns::pending::Pending;
use crate::columns::rows;
use crate::consumer::{Consumer, ConsumerSpec};
use crate::output::Output;
use crate::profile;
use crate::state::TaskState;

/// Records that reach a native step one by one are taken on together, so many or so many bytes.
pub const PENDING_ROWS: usize = 1024;
pub const PENDING_BYTES: usize = 1 << 20;

/// The way out of a step: its table's outputs, and the steps that are fused behind it.
#[pyclass(frozen, generic, module = "gaia._core")]
pub struct Context {
    pub state: Py<TaskState>,
    /// What passes through.
    pub codec: Py<Codec>,
    outputs: Vec<Py<Output>>,
    consumers: Vec<Consumer>,
    shard: GilCell<Option<Py<PyAny>>>,
    /// Columns that user code has written a few rows at a time, and that go on together.
    written: GilCell<Pending>,
    writes: AtomicU64,
}

#[pymethods]
impl Context {
    /// `consumers` are tuples `(step, call, function or codec, context, on_error)`.
    #[new]
    fn new(
        state: Py<TaskState>,
        codec: Py<Codec>,
        outputs: Vec<Py<Output>>,
        consumers: Vec<ConsumerSpec<'_>>,
    ) -> PyResult<Self> {
        let shape = &codec.get().shape;
        let consumers = consumers.into_iter().map(|spec| Consumer::new(spec, shape));
        let consumers = consumers.collect::<PyResult<_>>()?;
        Ok(Self {
            state,
            written: GilCell::new(Pending::new(&codec.get().shape)),
            codec,
            outputs,
            consumers,
            shard: GilCell::new(None),
            writes: AtomicU64::new(0),
        })
    }

    #[pyo3(signature = (record, /, *, shard=None))]
    pub fn write(
        &self,
        record: &Bound<'_, PyAny>,
        shard: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _mark = profile::gaias();
        self.writes.store(self.writes.load(Relaxed) + 1, Relaxed);
        self.send(record, shard, false)
    }

    #[pyo3(signature = (**columns))]
    fn write_columns(&self, py: Python<'_>, columns: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let _mark = profile::gaias();
        let shape = &self.codec.get().shape;
        let none = PyDict::new(py);
        let given = columns.unwrap_or(&none);
        let mut written = self.written.borrow_mut(py)?;
        if written.push_lists(shape, given)? {
            let full = written.rows() >= PENDING_ROWS || written.text_bytes() >= PENDING_BYTES;
            drop(written);
            return if full { self.send_written(py) } else { Ok(()) };
        }
        drop(written);
        let (rows, columns) = from_python::columns("write_columns", shape, given)?;
        let batch = Batch {
            rows,
            columns,
            origin: None,
        };
        self.send_batch(py, &batch)
    }

    #[pyo3(signature = (counter, n=None))]
    fn inc(&self, counter: &Bound<'_, PyString>, n: Option<&Bound<'_, PyInt>>) -> PyResult<()> {
        let py = counter.py();
        let _mark = profile::gaias();
        let n = n.map_or_else(|| 1.into_pyobject(py), |n| Ok(n.clone()))?;
        self.state.get().inc(counter, n)
    }

    fn freq_map<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let maps = self.state.get().freq_maps.bind(py);
        if let Some(map) = maps.get_item(name)? {
            return Ok(map);
        }
        let map = py.import("collections")?.getattr("Counter")?.call0()?;
        maps.set_item(name, &map)?;
        Ok(map)
    }

    fn set_output_shard(&self, py: Python<'_>, shard: Option<Py<PyAny>>) -> PyResult<()> {
        self.send_written(py)?;
        if let Some(shard) = &shard {
            let mut outputs = self.outputs.iter();
            outputs.try_for_each(|output| output.get().check_shard(shard.bind(py)))?;
        }
        *self.shard.borrow_mut(py)? = shard;
        Ok(())
    }

    fn close_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = shard.py();
        let _mark = profile::gaias();
        self.send_written(py)?;
        let mut outputs = self.outputs.iter().map(|output| output.get());
        outputs.try_for_each(|output| {
            let closed = output.close_shard(shard);
            if let (Err(error), true) = (&closed, output.combined) {
                self.state.get().spoil(py, error)?;
            }
            closed
        })
    }

    /// Has all steps behind this context take what they wait to take together.
    pub fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let _mark = profile::gaias();
        self.send_written(py)?;
        for consumer in &self.consumers {
            self.blamed(py, consumer, None, consumer.flush(py, self))?;
            consumer.into().flush(py)?;
        }
        Ok(())
    }

    #[getter]
    fn input_file(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        self.state.get().input_file(py)
    }

    #[getter]
    fn input_pos(&self) -> u64 {
        self.state.get().position.load(Relaxed)
    }

    #[getter]
    fn metadata(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.get().metadata.clone_ref(py)
    }

    #[getter]
    fn shard(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.get().shard.clone_ref(py)
    }

    /// Calls of the steps behind this context, and writes to it.
    fn traffic(&self) -> (u64, u64) {
        let calls = self.consumers.iter().map(Consumer::calls).sum();
        (calls, self.writes.load(Relaxed))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        self.consumers
            .iter()
            .try_for_each(|consumer| consumer.traverse(&visit))
    }
}

impl Context {
    pub fn state(&self) -> &TaskState {
        self.state.get()
    }

    /// Gives a record that no user code has written to the table's outputs and to every step
    /// behind it.
    pub fn pass_on(&self, record: &Bound<'_, PyAny>) -> PyResult<()> {
        self.send(record, None, true)
    }

    /// Whether records had better come in batches.
    pub fn takes_batches(&self) -> bool {
        self.consumers
            .iter()
            .any(|consumer| consumer.takes_batches())
            || (self.consumers.is_empty()
                && self
                    .outputs
                    .iter()
                    .any(|output| output.get().takes_batches()))
    }

    fn send(
        &self,
        record: &Bound<'_, PyAny>,
        shard: Option<&Bound<'_, PyAny>>,
        fed: bool,
    ) -> PyResult<()> {
        let py = record.py();
        if !self.outputs.is_empty() {
            let current = match shard {
                Some(_) => None,
                None => self.current_shard(py)?,
            };
            let shard = shard.or(current.as_ref());
            for output in &self.outputs {
                let output = output.get();
                if let Err(failure) = output.write(record, shard) {
                    // A record that cannot be encoded is the mistake of the step that wrote it.
                    let state = self.state.get();
                    // What a combined table refuses may be any record that was added up.
                    let others = failure.by_write && output.combined;
                    if others {
                        state.spoil(py, &failure.error)?;
                    }
                    if fed || failure.by_write {
                        let record = (!others).then_some(record);
                        state.failed_at(py, &output.step, record, &failure.error)?;
                    }
                    return Err(failure.error);
                }
            }
        }
        for consumer in &self.consumers {
            self.blamed(py, consumer, Some(record), consumer.take(record, self))?;
        }
        Ok(())
    }

    /// Gives records in columns to the table's outputs and to every step behind the context.
    pub fn send_batch(&self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        let writes = self.writes.load(Relaxed) + batch.rows as u64;
        self.writes.store(writes, Relaxed);
        let sent = self.pass_on_batch(py, batch);
        if let Err(error) = &sent {
            self.state.get().spoil(py, error)?;
        }
        sent
    }

    /// As `send_batch`, of records that no user code has written.
    pub fn pass_on_batch(&self, py: Python<'_>, batch: &Batch) -> PyResult<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        if !self.outputs.is_empty() {
            let shard = self.current_shard(py)?;
            for output in &self.outputs {
                let output = output.get();
                if let Err(failure) = output.write_batch(py, batch, shard.as_ref()) {
                    let state = self.state.get();
                    let shape = &self.codec.get().shape;
                    let record = failure.row.and_then(|row| {
                        state.at(batch, row);
                        rows::record(py, shape, &batch.columns, row).ok()
                    });
                    state.failed_at(py, &output.step, record.as_ref(), &failure.error)?;
                    return Err(failure.error);
                }
            }
        }
        for consumer in &self.consumers {
            self.blamed(py, consumer, None, consumer.take_batch(py, batch, self))?;
        }
        Ok(())
    }

    /// Sends the columns that were written a few rows at a time.
    fn send_written(&self, py: Python<'_>) -> PyResult<()> {
        let mut written = self.written.borrow_mut(py)?;
        if written.rows() == 0 {
            return Ok(());
        }
        let shape = &self.codec.get().shape;
        written.lend(shape, |batch| self.send_batch(py, batch))
    }

    fn current_shard<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let shard = self.shard.borrow_mut(py)?;
        Ok(shard.as_ref().map(|shard| shard.bind(py).clone()))
    }

    /// Notes the step that an error came out of; one that a single record raised may be forgiven.
    pub fn blamed(
        &self,
        py: Python<'_>,
        consumer: &Consumer,
        record: Option<&Bound<'_, PyAny>>,
        result: PyResult<()>,
    ) -> PyResult<()> {
        let Err(error) = result else {
            return Ok(());
        };
        let state = self.state.get();
        state.failed_at(py, &consumer.step, record, &error)?;
        match record {
            Some(_) => consumer.forgive(state, py, error),
            None => Err(error),
        }
    }
}
