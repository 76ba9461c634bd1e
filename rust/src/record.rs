//! Record classes: reading the fields of an object and making an object from fields.

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::cell::GilCell;
use crate::value::{Kind, mismatch, short_name};

pub struct Field {
    pub name: Py<PyString>,
    /// The name, for those who do not hold the GIL.
    pub title: String,
    /// The field in messages: "field `count`".
    pub label: String,
    pub kind: Kind,
    pub optional: bool,
    /// Passed to the class when it is called; otherwise set afterwards.
    init: Option<Py<PyString>>,
}

pub struct Class {
    ty: Py<PyType>,
    pub name: String,
    pub fields: Vec<Field>,
    layout: Layout,
    build: Build,
    /// A record that nobody holds any more, to be filled again. Making and freeing an object costs
    /// more than all that a joiner's record needs besides.
    spare: GilCell<Option<Py<PyAny>>>,
    reusable: bool,
}

enum Layout {
    /// Fields stand at fixed offsets: `__slots__`, msgspec.Struct.
    Slots(Vec<isize>),
    Attributes,
    Tuple,
}

enum Build {
    /// An empty object whose fields are then set: equal to calling a class whose `__init__` only
    /// stores its arguments.
    Fill,
    /// `cls(**fields)`, so that validators, converters and hooks run.
    Call,
    /// `cls(*fields)`, where the class takes them in their order.
    Positional,
    /// `tuple.__new__(cls, fields)`
    Tuple,
}

impl Class {
    /// Reads the class from Python's description of it (`gaia.pipeline.records.RecordType`).
    pub fn from_python(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let ty = spec.getattr("type")?.cast_into::<PyType>()?;
        let mut fields = Vec::new();
        for field in spec.getattr("fields")?.try_iter()? {
            let field = field?;
            let name = field.getattr("name")?.cast_into::<PyString>()?;
            fields.push(Field {
                label: format!("field `{name}`"),
                title: name.to_str()?.to_owned(),
                name: name.unbind(),
                kind: Kind::from_python(&field)?,
                optional: field.getattr("optional")?.extract()?,
                init: field.getattr("init")?.extract()?,
            });
        }
        let how: String = spec.getattr("build")?.extract()?;
        let layout = match how.as_str() {
            "tuple" => Layout::Tuple,
            _ => match fields.iter().map(|field| slot_offset(&ty, field)).collect() {
                Some(offsets) => Layout::Slots(offsets),
                None => Layout::Attributes,
            },
        };
        let build = match how.as_str() {
            "tuple" => Build::Tuple,
            "fill" => Build::Fill,
            "positional" => Build::Positional,
            _ => Build::Call,
        };
        // A class that notices the end of its objects, or lets them carry more than its fields, has
        // to get a new object for every record.
        let ptr = ty.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: the fields of a live type object are read.
        let plain = unsafe {
            (*ptr).tp_dictoffset == 0 && (*ptr).tp_finalize.is_none() && (*ptr).tp_del.is_none()
        };
        // Nor one with more slots than fields: what stands there would outlive its record.
        let word = size_of::<*mut ffi::PyObject>();
        // SAFETY: as above.
        let exact = unsafe {
            let slots = fields.len() + usize::from((*ptr).tp_weaklistoffset > 0);
            (*ptr).tp_itemsize == 0
                && (*ptr).tp_basicsize.unsigned_abs() == size_of::<ffi::PyObject>() + word * slots
        };
        let filled = matches!((&build, &layout), (Build::Fill, Layout::Slots(_)));
        let reusable = plain && exact && filled && !has_dict(ptr);
        Ok(Self {
            spare: GilCell::new(None),
            reusable,
            name: short_name(&ty.qualname()?.to_string_lossy()),
            ty: ty.unbind(),
            fields,
            layout,
            build,
        })
    }

    /// # Errors
    /// `TypeError` unless the record is of exactly this class: a subclass would come back as less
    /// than it was.
    pub fn check(&self, record: &Bound<'_, PyAny>) -> PyResult<()> {
        if record.get_type_ptr() == self.ty.as_ptr().cast() {
            return Ok(());
        }
        Err(mismatch("", &self.name, record))
    }

    /// Field `i` of a record that `check` has passed.
    #[inline]
    pub fn get<'py>(&self, record: &Bound<'py, PyAny>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = record.py();
        match &self.layout {
            Layout::Slots(offsets) => {
                // SAFETY: `slot_offset` took the offset from this very class, and `check` has
                // shown that the object is of it; an unset slot is null.
                let value = unsafe {
                    let slot = record
                        .as_ptr()
                        .byte_offset(offsets[i])
                        .cast::<*mut ffi::PyObject>();
                    Bound::from_borrowed_ptr_or_opt(py, *slot)
                };
                value.ok_or_else(|| self.unset(i))
            }
            Layout::Attributes => record.getattr(self.fields[i].name.bind(py)),
            Layout::Tuple => {
                let tuple = record.cast::<PyTuple>()?;
                tuple.get_item(i).map_err(|_| self.unset(i))
            }
        }
    }

    /// Field `i` of a record that `check` has passed, if it stands in a slot that is set.
    #[inline]
    pub fn slot<'a, 'py>(
        &self,
        record: &'a Bound<'py, PyAny>,
        i: usize,
    ) -> Option<Borrowed<'a, 'py, PyAny>> {
        let Layout::Slots(offsets) = &self.layout else {
            return None;
        };
        // SAFETY: as in `get`; the value lives as long as the record holds it, which nothing changes
        // before the reader is done with it.
        unsafe {
            let slot = record.as_ptr().byte_offset(offsets[i]);
            Borrowed::from_ptr_or_opt(record.py(), *slot.cast::<*mut ffi::PyObject>())
        }
    }

    #[cold]
    fn unset(&self, i: usize) -> PyErr {
        let (name, label) = (&self.name, &self.fields[i].label);
        PyAttributeError::new_err(format!("{label} of this `{name}` is not set"))
    }

    /// A record of the values that `next` gives for its fields, in their order; None if it has no
    /// value for one of them.
    pub fn make<'py>(
        &self,
        py: Python<'py>,
        mut next: impl FnMut(&Field) -> PyResult<Option<Bound<'py, PyAny>>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let ty = self.ty.bind(py);
        if let (Build::Fill, Layout::Slots(offsets)) = (&self.build, &self.layout) {
            let ptr = ty.as_ptr().cast::<ffi::PyTypeObject>();
            let spare = self.spare.borrow_mut(py)?.take();
            let object = match spare {
                Some(spare) => spare.into_bound(py),
                // SAFETY: `tp_alloc` returns a new object with all slots null, or null with an
                // exception set.
                None => unsafe {
                    let alloc = (*ptr).tp_alloc.unwrap_or(ffi::PyType_GenericAlloc);
                    Bound::from_owned_ptr_or_err(py, alloc(ptr, 0))?
                },
            };
            for (field, &offset) in self.fields.iter().zip(offsets) {
                let Some(value) = next(field)? else {
                    return Ok(None);
                };
                // SAFETY: the slot gives up its reference, if it has one, and takes over the new.
                unsafe {
                    let slot = object.as_ptr().byte_offset(offset);
                    let old = slot.cast::<*mut ffi::PyObject>().replace(value.into_ptr());
                    drop(Bound::from_owned_ptr_or_opt(py, old));
                }
            }
            return Ok(Some(object));
        }
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let Some(value) = next(field)? else {
                return Ok(None);
            };
            values.push(value);
        }
        let fields = || self.fields.iter().zip(&values);
        let object = match self.build {
            Build::Tuple => {
                let new = py
                    .get_type::<PyTuple>()
                    .getattr(pyo3::intern!(py, "__new__"))?;
                new.call1((ty, PyTuple::new(py, &values)?))?
            }
            Build::Fill => {
                let new = py
                    .get_type::<PyAny>()
                    .getattr(pyo3::intern!(py, "__new__"))?;
                let object = new.call1((ty,))?;
                fields().try_for_each(|(field, value)| set(&object, field, value))?;
                object
            }
            Build::Positional => ty.call1(PyTuple::new(py, &values)?)?,
            Build::Call => {
                let arguments = PyDict::new(py);
                for (field, value) in fields() {
                    if let Some(name) = &field.init {
                        arguments.set_item(name, value)?;
                    }
                }
                let object = ty.call((), Some(&arguments))?;
                fields()
                    .filter(|(field, _)| field.init.is_none())
                    .try_for_each(|(field, value)| set(&object, field, value))?;
                object
            }
        };
        Ok(Some(object))
    }

    /// Takes back a record that user code is done with; if it kept no reference, it is the next one.
    pub fn take_back(&self, record: Bound<'_, PyAny>) -> PyResult<()> {
        if record.get_type_ptr() != self.ty.as_ptr().cast() {
            return Ok(());
        }
        // SAFETY: a live object.
        let alone = unsafe { ffi::Py_REFCNT(record.as_ptr()) } == 1;
        if self.reusable && alone && !has_weak_references(&record) {
            let py = record.py();
            let old = self.spare.borrow_mut(py)?.replace(record.unbind());
            drop(old);
        }
        Ok(())
    }
}

fn has_weak_references(record: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the offset is that of the list's head in an object of this type.
    unsafe {
        let offset = (*record.get_type_ptr()).tp_weaklistoffset;
        offset != 0
            && !record
                .as_ptr()
                .byte_offset(offset)
                .cast::<*mut ffi::PyObject>()
                .read()
                .is_null()
    }
}

/// Whether objects of the type carry a `__dict__` that `tp_dictoffset` does not tell of.
fn has_dict(ptr: *mut ffi::PyTypeObject) -> bool {
    // Py_TPFLAGS_MANAGED_DICT, since Python 3.12 (3.11 sets `tp_dictoffset` to -1 besides).
    const MANAGED_DICT: std::ffi::c_ulong = 1 << 4;
    // SAFETY: a live type object.
    unsafe { ffi::PyType_GetFlags(ptr) & MANAGED_DICT != 0 }
}

/// `object.__setattr__`: frozen classes have to be filled as well.
fn set(object: &Bound<'_, PyAny>, field: &Field, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: three live objects; -1 comes with an exception set.
    let done = unsafe {
        ffi::PyObject_GenericSetAttr(object.as_ptr(), field.name.as_ptr(), value.as_ptr())
    };
    if done == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(object.py()))
    }
}

/// Where the field stands in an object of the class, if it is a slot.
fn slot_offset(ty: &Bound<'_, PyType>, field: &Field) -> Option<isize> {
    let descriptor = ty.getattr(field.name.bind(ty.py())).ok()?;
    if descriptor.get_type_ptr() != &raw mut ffi::PyMemberDescr_Type {
        return None;
    }
    // SAFETY: the type check above shows that this is a member descriptor.
    let member = unsafe { &*(*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member };
    let plain =
        member.type_code == ffi::Py_T_OBJECT_EX && member.flags & ffi::Py_RELATIVE_OFFSET == 0;
    plain.then_some(member.offset)
}
