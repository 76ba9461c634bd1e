//! The steps behind a context: how each takes what is written there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::cell::GilCell;
use crate::codec::{Codec, Shape};
use crate::columns::batch::PyBatch;
use crate::columns::column::Batch;
use crate::columns::pending::Pending;
use crate::columns::rows;
use crate::context::{Context, PENDING_BYTES, PENDING_ROWS};
use crate::joint::Joint;
use crate::ops::Op;
use crate::profile::{self, Step};
use crate::state::TaskState;
use crate::value::{mismatch, raw_bytes, utf8};

/// A batch for Python has so many bytes of text at most, and what one block brings besides.
const LARGE: usize = 64 << 20;

/// A step that takes the records written to a context.
pub struct Consumer {
    pub step: Py<PyString>,
    marks: Step,
    call: Call,
    into: Py<Context>,
    calls: AtomicU64,
    /// Takes the exception that a record raised in the step; when it returns, the record is left out.
    on_error: Option<Py<PyAny>>,
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
    /// Text read as a record of another type. With `true`, text that is none is counted as a parse
    /// error and left out.
    Parse(Py<Codec>, bool),
    /// A value converted to a record of another type; as `Parse`.
    Convert(Py<PyAny>, bool),
    /// `do_batch(batch, ctx)`, of at most so many rows: the function, and the object whose method it is.
    Batch(Py<PyAny>, Py<PyAny>, usize),
    Native(Py<Op>),
    /// A native joiner, and the number of its input.
    Joint(Py<Joint>, usize),
}

/// What a function of the user's makes of a record.
fn asked<'py>(function: &Py<PyAny>, record: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let _users = profile::users();
    function.bind(record.py()).call1((record,))
}

/// Refuses what a method returns that writes its records: nobody would see it again.
fn nothing(function: &Py<PyAny>, returned: &Bound<'_, PyAny>) -> PyResult<()> {
    if returned.is_none() {
        return Ok(());
    }
    let py = returned.py();
    let name: String = function
        .getattr(py, pyo3::intern!(py, "__qualname__"))?
        .extract(py)?;
    let (_, name) = name.rsplit_once("<locals>.").unwrap_or(("", &name));
    Err(PyTypeError::new_err(format!(
        "`{name}` returned `{}`, which would be lost; call ctx.write(record)",
        returned.get_type().name()?
    )))
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

/// A consumer as Python describes it: step, call, function or codec, the context behind it, and
/// what takes the exceptions of records, if anything does.
pub type ConsumerSpec<'py> = (
    Py<PyString>,
    String,
    Bound<'py, PyAny>,
    Py<Context>,
    Option<Py<PyAny>>,
);

impl Consumer {
    /// For records of the shape that the context before has.
    pub fn new(spec: ConsumerSpec<'_>, shape: &Shape) -> PyResult<Self> {
        let (step, call, function, into, on_error) = spec;
        let marks = Step::new(function.py(), step.to_str(function.py())?)?;
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
            "parse" => {
                let (codec, lenient): (Bound<'_, PyAny>, bool) = function.extract()?;
                Call::Parse(codec.cast_into::<Codec>()?.unbind(), lenient)
            }
            _ => {
                let (convert, lenient) = function.extract()?;
                Call::Convert(convert, lenient)
            }
        };
        Ok(Consumer {
            step,
            marks,
            call,
            into,
            calls: AtomicU64::new(0),
            on_error,
            pending: GilCell::new(Pending::new(shape)),
        })
    }

    pub fn into(&self) -> &Context {
        self.into.get()
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.into)?;
        visit.call(&self.on_error)?;
        match &self.call {
            Call::Parse(codec, _) => visit.call(codec),
            Call::Do(function, object) => {
                visit.call(function)?;
                visit.call(object)
            }
            Call::Map(f) | Call::Filter(f) | Call::FlatMap(f) | Call::Convert(f, _) => {
                visit.call(f)
            }
            Call::Batch(function, object, _) => {
                visit.call(function)?;
                visit.call(object)
            }
            Call::Native(op) => visit.call(op),
            Call::Joint(joint, _) => visit.call(joint),
        }
    }

    pub fn takes_batches(&self) -> bool {
        matches!(
            self.call,
            Call::Batch(..) | Call::Native(_) | Call::Joint(..)
        )
    }

    /// Has the step's policy take an exception that a record raised in it, and nowhere further in.
    #[cold]
    pub fn forgive(&self, state: &TaskState, py: Python<'_>, error: PyErr) -> PyResult<()> {
        match &self.on_error {
            Some(policy)
                if error.is_instance_of::<PyException>(py)
                    && state.came_out_of(py, &error, &self.step)? =>
            {
                // Only so the value gets to know its traceback.
                policy.bind(py).call1((error.into_value(py),)).map(drop)
            }
            _ => Err(error),
        }
    }

    fn count(&self, calls: usize) {
        let calls = self.calls.load(Relaxed) + calls as u64;
        self.calls.store(calls, Relaxed);
    }

    pub fn take(&self, record: &Bound<'_, PyAny>, from: &Context) -> PyResult<()> {
        let py = record.py();
        let _mark = self.marks.mark();
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
                let _users = profile::users();
                nothing(function, &function.bind(py).call1(arguments)?)
            }
            Call::Do(function, None) => {
                let _users = profile::users();
                let arguments = (record, self.into.bind(py));
                nothing(function, &function.bind(py).call1(arguments)?)
            }
            Call::Map(function) => into.write(&asked(function, record)?, None),
            Call::Filter(function) => {
                let kept = {
                    let _users = profile::users();
                    function.bind(py).call1((record,))?.is_truthy()?
                };
                if kept {
                    into.write(record, None)?;
                }
                Ok(())
            }
            Call::FlatMap(function) => {
                let items = asked(function, record)?;
                if !items.hasattr(pyo3::intern!(py, "__iter__"))? {
                    return Err(mismatch("the function's result", "iterable", &items));
                }
                let mut items = items.try_iter()?;
                let mut next = || {
                    let _users = profile::users();
                    items.next()
                };
                while let Some(item) = next() {
                    into.write(&item?, None)?;
                }
                Ok(())
            }
            Call::Parse(codec, lenient) => {
                let text = if record.is_instance_of::<PyString>() {
                    utf8("", record)?
                } else {
                    raw_bytes("", record).map_err(|_| mismatch("", "str", record))?
                };
                match codec.get().decode(py, text) {
                    Ok(parsed) => into.write(&parsed, None),
                    Err(error) if *lenient => state.parse_error(py, error),
                    Err(error) => Err(error),
                }
            }
            Call::Convert(function, lenient) => match function.bind(py).call1((record,)) {
                Ok(converted) => into.write(&converted, None),
                Err(error) if *lenient => state.parse_error(py, error),
                Err(error) => Err(error),
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

    pub fn take_batch(&self, py: Python<'_>, batch: &Batch, from: &Context) -> PyResult<()> {
        let _mark = self.marks.mark();
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
                    let full = pending.rows() == *at_once || pending.text_bytes() >= LARGE;
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
    pub fn flush(&self, py: Python<'_>, from: &Context) -> PyResult<()> {
        if !self.takes_batches() {
            return Ok(());
        }
        let _mark = self.marks.mark();
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
        let _users = profile::users();
        let returned = function
            .bind(py)
            .call1((object, batch, self.into.bind(py)))?;
        nothing(function, &returned)
    }
}
