//! What user code writes through.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use crate::cell::GilCell;
use crate::codec::Codec;
use crate::output::Output;
use crate::state::TaskState;
use crate::value::{mismatch, raw_bytes, utf8};

/// The way out of a step: its table's outputs, and the steps that are fused behind it.
#[pyclass(frozen, generic, module = "gaia._core")]
pub struct Context {
    state: Py<TaskState>,
    outputs: Vec<Py<Output>>,
    consumers: Vec<Consumer>,
    shard: GilCell<Option<Py<PyAny>>>,
    writes: AtomicU64,
}

/// A step that takes the records written to a context.
struct Consumer {
    step: Py<PyString>,
    call: Call,
    into: Py<Context>,
    calls: AtomicU64,
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
        outputs: Vec<Py<Output>>,
        consumers: Vec<ConsumerSpec<'_>>,
    ) -> PyResult<Self> {
        let consumers = consumers.into_iter().map(|(step, call, function, into)| {
            let call = match call.as_str() {
                "do" => bound_method(&function)?,
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
            })
        });
        Ok(Self {
            state,
            outputs,
            consumers: consumers.collect::<PyResult<_>>()?,
            shard: GilCell::new(None),
            writes: AtomicU64::new(0),
        })
    }

    #[pyo3(signature = (record, /, *, shard=None))]
    fn write(&self, record: &Bound<'_, PyAny>, shard: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.writes.store(self.writes.load(Relaxed) + 1, Relaxed);
        self.send(record, shard, false)
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
        *self.shard.borrow_mut(py)? = shard;
        Ok(())
    }

    fn close_shard(&self, shard: &Bound<'_, PyAny>) -> PyResult<()> {
        self.outputs
            .iter()
            .try_for_each(|output| output.get().close_shard(shard))
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
                None => self
                    .shard
                    .borrow_mut(py)?
                    .as_ref()
                    .map(|shard| shard.clone_ref(py)),
            };
            let shard = shard.or(current.as_ref().map(|shard| shard.bind(py)));
            for output in &self.outputs {
                let output = output.get();
                if let Err(failure) = output.write(record, shard) {
                    // A record that cannot be encoded is the mistake of the step that wrote it.
                    if fed || failure.by_write {
                        self.state
                            .get()
                            .failed_at(&output.step, record, &failure.error)?;
                    }
                    return Err(failure.error);
                }
            }
        }
        for consumer in &self.consumers {
            if let Err(error) = consumer.take(record, self.state.get()) {
                self.state.get().failed_at(&consumer.step, record, &error)?;
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Consumer {
    fn take(&self, record: &Bound<'_, PyAny>, state: &TaskState) -> PyResult<()> {
        let py = record.py();
        let into = self.into.get();
        self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
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
        }
    }
}
