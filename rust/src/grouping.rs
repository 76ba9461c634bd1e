//! Groups of records of a Python type, with reductions that may be Python functions.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use crate::codec::Shape;
use crate::columns::column::Batch;
use crate::columns::rows;
use crate::columns::schema::Field;
use crate::groups::keys::Same;
use crate::groups::reduce::Reduction;
use crate::groups::table::{Aggregate, Groups, Key, Place, Refusal, Spec};
use crate::profile;
use crate::value::{Kind, Plain};

/// What a small Python object takes, in bytes.
const OBJECT: usize = 64;

/// A field that goes out: a key, or the reduction of a field that comes in.
pub enum Out {
    Key(usize),
    Reduced(Reduction, usize),
    /// A function of two values, in Python.
    Function(Py<PyAny>, usize),
}

impl Out {
    /// As Python describes it: `("key", None | field)`, `("sum", field)`, `(function, field)`.
    pub fn from_python(how: &Bound<'_, PyAny>, field: usize) -> PyResult<Self> {
        let Ok(name) = how.extract::<String>() else {
            return Ok(Out::Function(how.clone().unbind(), field));
        };
        if name == "key" {
            return Ok(Out::Key(field));
        }
        let reduction = Reduction::from_name(&name)
            .ok_or_else(|| PyValueError::new_err(format!("unknown reduction `{name}`")))?;
        Ok(Out::Reduced(reduction, field))
    }

    /// The field that is asked for; a count asks for none.
    pub fn field(&self) -> Option<usize> {
        match *self {
            Out::Reduced(Reduction::Count, _) => None,
            Out::Key(field) | Out::Reduced(_, field) | Out::Function(_, field) => Some(field),
        }
    }
}

pub struct Grouping {
    groups: Groups,
    keys: Vec<usize>,
    aggregates: Vec<usize>,
    functions: Vec<Function>,
}

/// A reduction in Python: its values so far, group by group.
struct Function {
    function: Py<PyAny>,
    from: usize,
    to: usize,
    values: Vec<Py<PyAny>>,
}

/// How values of a field are compared as keys.
pub fn key_of(shape: &Shape, column: usize) -> Key {
    let Field { kind, optional, .. } = shape.field(column);
    let same = match kind {
        Kind::Float => Same::Number,
        Kind::Via {
            plain: Plain::Datetime,
            ..
        } => Same::Moment,
        _ => Same::Value,
    };
    Key {
        column,
        same,
        optional,
    }
}

impl Grouping {
    /// Groups records of a shape by the fields `keys`; what goes out is told by `out`. It is for use
    /// within so many bytes.
    pub fn new(shape: &Shape, keys: &[usize], out: Vec<Out>, limit: usize) -> Self {
        let mut spec = Spec {
            keys: keys.iter().map(|&column| key_of(shape, column)).collect(),
            aggregates: Vec::new(),
            layout: Vec::new(),
            like: rows::builder(shape),
        };
        let mut functions = Vec::new();
        let mut aggregates = Vec::new();
        for (to, each) in out.into_iter().enumerate() {
            spec.layout.push(match each {
                Out::Key(field) => {
                    let at = keys.iter().position(|&key| key == field);
                    Place::Key(at.expect("one of the keys"))
                }
                Out::Reduced(reduction, column) => {
                    let Field { kind, optional, .. } = shape.field(column);
                    let plain = match kind {
                        Kind::Via { plain, .. } => Some(*plain),
                        _ => None,
                    };
                    spec.aggregates.push(Aggregate {
                        reduction,
                        column,
                        optional,
                        moments: plain == Some(Plain::Datetime),
                    });
                    aggregates.push(column);
                    Place::Aggregate(aggregates.len() - 1)
                }
                Out::Function(function, from) => {
                    functions.push(Function {
                        function,
                        from,
                        to,
                        values: Vec::new(),
                    });
                    Place::Own
                }
            });
        }
        Self {
            groups: Groups::new(spec, limit),
            keys: keys.to_vec(),
            aggregates,
            functions,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether a batch of so many rows can be added within so many bytes.
    pub fn has_room(&mut self, rows: usize, limit: usize) -> bool {
        let values: usize = self.functions.iter().map(|each| each.values.len()).sum();
        self.groups
            .has_room(rows, limit.saturating_sub(values * OBJECT))
    }

    pub fn add(&mut self, py: Python<'_>, shape: &Shape, batch: &Batch) -> PyResult<()> {
        let groups = &mut self.groups;
        match py.detach(|| groups.add(batch)) {
            Ok(()) => self.call(py, shape, batch),
            Err(refusal) => Err(self.refused(py, shape, batch, refusal)),
        }
    }

    /// Adds the records whose keys are there already, and returns the rows of the others.
    pub fn add_known(
        &mut self,
        py: Python<'_>,
        shape: &Shape,
        batch: &Batch,
    ) -> PyResult<Vec<u32>> {
        let groups = &mut self.groups;
        let split = py.detach(|| groups.split(batch));
        if !split.grouped.is_empty() {
            let known = batch.gather(&split.grouped);
            if let Err(refusal) = py.detach(|| groups.add_to(&known, split.groups)) {
                return Err(self.refused(py, shape, &known, refusal));
            }
            self.call(py, shape, &known)?;
        }
        if !split.short.is_empty() {
            self.add(py, shape, &batch.gather(&split.short))?;
        }
        Ok(split.others)
    }

    /// Calls the functions in Python with what was added last.
    fn call(&mut self, py: Python<'_>, shape: &Shape, batch: &Batch) -> PyResult<()> {
        let mut failed = Ok(());
        for each in &mut self.functions {
            for (row, &group) in self.groups.last().iter().enumerate() {
                let value =
                    rows::value(py, shape.field(each.from), &batch.columns[each.from], row)?;
                let Some(old) = each.values.get_mut(group as usize) else {
                    each.values.push(value.unbind());
                    continue;
                };
                if old.is_none(py) {
                    *old = value.unbind();
                } else if !value.is_none() && failed.is_ok() {
                    let _users = profile::users();
                    match each.function.bind(py).call1((old.bind(py), value)) {
                        Ok(new) => *old = new.unbind(),
                        // Every group has to get its first value, whatever becomes of the task.
                        Err(error) => failed = Err(error),
                    }
                }
            }
        }
        failed
    }

    #[cold]
    fn refused(&self, py: Python<'_>, shape: &Shape, batch: &Batch, refusal: Refusal) -> PyErr {
        let (aggregate, row) = match refusal {
            Refusal::Overflow { aggregate, row } => (aggregate, row),
            Refusal::TooLarge => {
                return PyOverflowError::new_err(
                    "the keys of this shard are beyond 3 GiB; use more shards",
                );
            }
        };
        let shown = |column: usize| {
            rows::value(py, shape.field(column), &batch.columns[column], row)
                .and_then(|value| value.repr())
                .map_or_else(|_| String::from("?"), |repr| repr.to_string())
        };
        let key: Vec<_> = self.keys.iter().map(|&column| shown(column)).collect();
        let field = shape.field(self.aggregates[aggregate]).name;
        PyOverflowError::new_err(format!(
            "field `{field}`, key {}: the result is beyond 64 bits; reduce fewer records, or a float",
            key.join(", ")
        ))
    }

    /// Takes out all groups as records of shape `to`.
    pub fn drain(
        &mut self,
        py: Python<'_>,
        to: &Shape,
        mut each: impl FnMut(Python<'_>, Batch) -> PyResult<()>,
    ) -> PyResult<()> {
        let functions = self.functions.iter_mut();
        let mut functions: Vec<_> = functions
            .map(|each| (each.to, std::mem::take(&mut each.values).into_iter()))
            .collect();
        self.groups.drain(|mut batch, own| {
            for (at, values) in functions.iter_mut().filter(|_| own) {
                let mut column = rows::builder(to).swap_remove(*at);
                for (row, value) in values.by_ref().take(batch.rows).enumerate() {
                    rows::push(to.field(*at), value.bind(py), &mut column, row)?;
                }
                batch.columns[*at] = column;
            }
            each(py, batch)
        })
    }
}
