//! What user code writes through.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};

use crate::cell::GilCell;
use crate::codec::Codec;
use crate::columns::batch::PyBatch;
use crate::columns::column::Batch;
use crate::columns::from_python;
use crate::columns::pending::Pending;
use crate::columns::rows;
use crate::joint::Joint;
use crate::ops::Op;
use crate::output::Output;
use crate::state::TaskState;
use crate::value::{mismatch, raw_bytes, utf8};

/// Records that reach a native step one by one are taken on together, so many or so many bytes.
const PENDING_ROWS: usize = 1024;
const PENDING_BYTES: usize = 1 << 20;

/// The way out of a step: its table's outputs, and the steps that are fused behind it.
#[pyclass(frozen, generic, module = "gaia._core")]
pub struct Context {
    state: Py<TaskState>,
    /// What passes through.
    codec: Py<Codec>,
    outputs: Vec<Py<Output>>,
    consumers: Vec<Consumer>,
    shard: GilCell<Option<Py<PyAny>>>,
    /// Columns that user code has written a few rows at a time, and that go on together.
    written: GilCell<Pending>,
    writes: AtomicU64,
}

/// A step that takes the records written to a context.
struct Consumer {
    step: Py<PyString>,
    call: Call,
    into: Py<Context>,
    calls: AtomicU64,
    /// What a step that takes batches has not taken yet.
    pending: GilCell<Pending>,
}

enum Call {
    /// `do(record, ctx)`: the function, and the object whose method it is.
    Do(Py<PyAny>, Option<Py<PyAny>>),
    /// One record in, one out.
    Map(Py<PyAny>),
    Filter(Py<PyAny>),
    /// One record in, an iterable of records out.
    FlatMap(Py<PyAny>),
    /// Text read as a record of another type.
    Parse(Py<Codec>),
    /// A value converted to a record of another type; what it raises is a parse error.
    Convert(Py<PyAny>),
    /// `do_batch(batch, ctx)`, of at most so many rows: the function, and the object whose method it is.
    Batch(Py<PyAny>, Py<PyAny>, usize),
    Native(Py<Op>),
    /// A native joiner, and the number of its input.
    Joint(Py<Joint>, usize),
}

/// Takes a bound method apart, which saves putting it together for every call.
fn bound_method(function: &Bound<'_, PyAny>) -> PyResult<Call> {
    let py = function.py();
    if !function.is_instance(&py.import("types")?.getattr("MethodType")?)? {
        return Ok(Call::Do(function.clone().unbind(), None));
    }
    let object = function.getattr(pyo3::intern!(py, "__self__"))?.unbind();
    let function = function.getattr(pyo3::intern!(py, "__func__"))?.unbind();
    Ok(Call::Do(function, Some(object)))
}

/// A consumer as Python describes it: step, call, function or codec, and the context behind it.
type ConsumerSpec<'py> = (Py<PyString>, String, Bound<'py, PyAny>, Py<Context>);

#[pymethods]
impl Context {
    /// `consumers` are tuples `(step, call, function or codec, context)`.
    #[new]
    fn new(
        state: Py<TaskState>,
        codec: Py<Codec>,
        outputs: Vec<Py<Output>>,
        consumers: Vec<ConsumerSpec<'_>>,
    ) -> PyResult<Self> {
        let consumers = consumers.into_iter().map(|(step, call, function, into)| {
            let call = match call.as_str() {
                "do" => bound_method(&function)?,
                "do_batch" => {
                    let (method, rows): (Bound<'_, PyAny>, usize) = function.extract()?;
                    match bound_method(&method)? {
                        Call::Do(function, Some(object)) => Call::Batch(function, object, rows),
                        _ => return Err(mismatch("do_batch", "method", &method)),
                    }
                }
                "native" => Call::Native(function.cast_into::<Op>()?.unbind()),
                "joint" => {
                    let (joint, input): (Bound<'_, PyAny>, usize) = function.extract()?;
                    Call::Joint(joint.cast_into::<Joint>()?.unbind(), input)
                }
                "map" => Call::Map(function.unbind()),
                "filter" => Call::Filter(function.unbind()),
                "flat_map" => Call::FlatMap(function.unbind()),
                "parse" => Call::Parse(function.cast_into::<Codec>()?.unbind()),
                _ => Call::Convert(function.unbind()),
            };
            Ok(Consumer {
                step,
                call,
                into,
                calls: AtomicU64::new(0),
                pending: GilCell::new(Pending::new(&codec.get().shape)),
            })
        });
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
    fn write(&self, record: &Bound<'_, PyAny>, shard: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.writes.store(self.writes.load(Relaxed) + 1, Relaxed);
        self.send(record, shard, false)
    }

    #[pyo3(signature = (**columns))]
    fn write_columns(&self, py: Python<'_>, columns: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
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
        let n = n.map_or_else(|| 1.into_pyobject(py), |n| Ok(n.clone()))?;
        let counters = self.state.get().counters.bind(py);
        match counters.get_item(counter)? {
            Some(old) => counters.set_item(counter, old.add(n)?),
            None => counters.set_item(counter, n),
        }
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
        *self.shard.borrow_mut(py)? = shard;
        Ok(())
    }

    fn close_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        self.send_written(shard.py())?;
        self.outputs
            .iter()
            .try_for_each(|output| output.get().close_shard(shard))
    }

    /// Has all steps behind this context take what they wait to take together.
    pub fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.send_written(py)?;
        for consumer in &self.consumers {
            self.blamed(py, consumer, None, consumer.flush(py, self))?;
            consumer.into.get().flush(py)?;
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
        let calls = self
            .consumers
            .iter()
            .map(|consumer| consumer.calls.load(Relaxed))
            .sum();
        (calls, self.writes.load(Relaxed))
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        for consumer in &self.consumers {
            visit.call(&consumer.into)?;
            match &consumer.call {
                Call::Parse(codec) => visit.call(codec)?,
                Call::Do(function, object) => {
                    visit.call(function)?;
                    visit.call(object)?;
                }
                Call::Map(f) | Call::Filter(f) | Call::FlatMap(f) | Call::Convert(f) => {
                    visit.call(f)?;
                }
                Call::Batch(function, object, _) => {
                    visit.call(function)?;
                    visit.call(object)?;
                }
                Call::Native(op) => visit.call(op)?,
                Call::Joint(joint, _) => visit.call(joint)?,
            }
        }
        Ok(())
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
                    if failure.by_write && output.combined {
                        self.state.get().spoil(py, &failure.error)?;
                    }
                    if fed || failure.by_write {
                        let state = self.state.get();
                        state.failed_at(py, &output.step, Some(record), &failure.error)?;
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

    /// Notes the step that an error came out of.
    fn blamed(
        &self,
        py: Python<'_>,
        consumer: &Consumer,
        record: Option<&Bound<'_, PyAny>>,
        result: PyResult<()>,
    ) -> PyResult<()> {
        if let Err(error) = &result {
            let state = self.state.get();
            state.failed_at(py, &consumer.step, record, error)?;
        }
        result
    }
}

impl Consumer {
    fn takes_batches(&self) -> bool {
        matches!(
            self.call,
            Call::Batch(..) | Call::Native(_) | Call::Joint(..)
        )
    }

    fn count(&self, calls: usize) {
        let calls = self.calls.load(Relaxed) + calls as u64;
        self.calls.store(calls, Relaxed);
    }

    fn take(&self, record: &Bound<'_, PyAny>, from: &Context) -> PyResult<()> {
        let py = record.py();
        let state = from.state.get();
        let into = self.into.get();
        if self.takes_batches() {
            let shape = &from.codec.get().shape;
            shape.check(record)?;
            let mut pending = self.pending.borrow_mut(py)?;
            pending.push(shape, record)?;
            if pending.rows() >= self.at_once() || pending.text_bytes() >= PENDING_BYTES {
                drop(pending);
                let flushed = self.flush(py, from);
                if let Err(error) = &flushed {
                    state.spoil(py, error)?;
                }
                return flushed;
            }
            return Ok(());
        }
        self.count(1);
        match &self.call {
            Call::Do(function, Some(object)) => {
                let arguments = (object.bind(py), record, self.into.bind(py));
                function.bind(py).call1(arguments).map(drop)
            }
            Call::Do(function, None) => function
                .bind(py)
                .call1((record, self.into.bind(py)))
                .map(drop),
            Call::Map(function) => into.write(&function.bind(py).call1((record,))?, None),
            Call::Filter(function) => {
                if function.bind(py).call1((record,))?.is_truthy()? {
                    into.write(record, None)?;
                }
                Ok(())
            }
            Call::FlatMap(function) => {
                let items = function.bind(py).call1((record,))?;
                if !items.hasattr(pyo3::intern!(py, "__iter__"))? {
                    return Err(mismatch("the function's result", "iterable", &items));
                }
                for item in items.try_iter()? {
                    into.write(&item?, None)?;
                }
                Ok(())
            }
            Call::Parse(codec) => {
                let text = if record.is_instance_of::<PyString>() {
                    utf8("", record)?
                } else {
                    raw_bytes("", record).map_err(|_| mismatch("", "str", record))?
                };
                match codec.get().decode(py, text) {
                    Ok(parsed) => into.write(&parsed, None),
                    Err(error) => state.parse_error(py, error),
                }
            }
            Call::Convert(function) => match function.bind(py).call1((record,)) {
                Ok(converted) => into.write(&converted, None),
                Err(error) => state.parse_error(py, error),
            },
            Call::Batch(..) | Call::Native(_) | Call::Joint(..) => unreachable!("taken above"),
        }
    }

    /// How many records the step takes at once.
    fn at_once(&self) -> usize {
        match self.call {
            Call::Batch(_, _, rows) => rows,
            _ => PENDING_ROWS,
        }
    }

    fn take_batch(&self, py: Python<'_>, batch: &Batch, from: &Context) -> PyResult<()> {
        let state = from.state.get();
        let shape = &from.codec.get().shape;
        let into = self.into.get();
        match &self.call {
            Call::Native(op) => {
                self.count(batch.rows);
                let made = op.get().apply(py, batch, state)?;
                made.iter().try_for_each(|batch| into.send_batch(py, batch))
            }
            Call::Joint(joint, input) => {
                self.count(batch.rows);
                joint.get().push(py, *input, batch, into)
            }
            Call::Batch(_, _, at_once) => {
                let mut done = 0;
                while done < batch.rows {
                    let mut pending = self.pending.borrow_mut(py)?;
                    let part = (batch.rows - done).min(at_once - pending.rows());
                    pending.extend(batch, done..done + part);
                    let full = pending.rows() == *at_once;
                    drop(pending);
                    done += part;
                    if full {
                        state.at(batch, done - 1);
                        self.flush(py, from)?;
                    }
                }
                Ok(())
            }
            _ => {
                for row in 0..batch.rows {
                    state.at(batch, row);
                    let record = rows::record(py, shape, &batch.columns, row)?;
                    from.blamed(py, self, Some(&record), self.take(&record, from))?;
                    from.codec.get().take_back(record)?;
                }
                Ok(())
            }
        }
    }

    /// Takes what is pending.
    fn flush(&self, py: Python<'_>, from: &Context) -> PyResult<()> {
        if !self.takes_batches() {
            return Ok(());
        }
        let shape = &from.codec.get().shape;
        let mut pending = self.pending.borrow_mut(py)?;
        if pending.rows() == 0 {
            return Ok(());
        }
        let Call::Batch(function, object, _) = &self.call else {
            return pending.lend(shape, |batch| self.take_batch(py, batch, from));
        };
        let batch = pending.take(shape);
        drop(pending);
        self.count(1);
        let batch = PyBatch::new(from.codec.clone_ref(py), batch);
        function
            .bind(py)
            .call1((object, batch, self.into.bind(py)))
            .map(drop)
    }
}
