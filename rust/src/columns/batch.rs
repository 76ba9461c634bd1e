//! Columns as Python objects.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arrow_data::ArrayData;
use arrow_schema::DataType;
use pyo3::exceptions::{PyBufferError, PyKeyError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyIterator, PyList, PyMemoryView, PyTuple};

use crate::codec::{Codec, Shape};
use crate::columns::column::{Batch, Column, Values};
use crate::columns::schema::Field;
use crate::columns::{arrow, from_python, rows};

/// Records as columns.
#[pyclass(frozen, generic, name = "Batch", module = "gaia._core")]
pub struct PyBatch {
    codec: Py<Codec>,
    rows: usize,
    columns: Vec<Arc<Column>>,
}

impl PyBatch {
    /// A batch of records of the codec's shape.
    pub fn new(codec: Py<Codec>, batch: Batch) -> Self {
        Self {
            codec,
            rows: batch.rows,
            columns: batch.columns.into_iter().map(Arc::new).collect(),
        }
    }

    fn fields(&self) -> impl Iterator<Item = (Field<'_>, &Arc<Column>)> {
        self.codec.get().shape.fields().zip(&self.columns)
    }

    fn names(&self) -> Vec<&str> {
        self.fields().map(|(field, _)| field.name).collect()
    }

    fn data_type(&self, py: Python<'_>) -> PyResult<DataType> {
        let fields = self.fields().map(|(field, column)| {
            let data_type = arrow::column_type(py, field, column, self.rows)?;
            Ok(arrow_schema::Field::new(
                field.name,
                data_type,
                field.optional,
            ))
        });
        Ok(DataType::Struct(fields.collect::<PyResult<_>>()?))
    }
}

#[pymethods]
impl PyBatch {
    /// A batch of these columns, given as to `Context.write_columns`.
    #[staticmethod]
    #[pyo3(signature = (codec, /, **columns))]
    fn of(codec: Bound<'_, Codec>, columns: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let py = codec.py();
        let none = PyDict::new(py);
        let given = columns.unwrap_or(&none);
        let (rows, columns) = from_python::columns("Batch.of", &codec.get().shape, given)?;
        let batch = Batch {
            rows,
            columns,
            origin: None,
        };
        Ok(Self::new(codec.unbind(), batch))
    }

    /// A batch of these records.
    #[staticmethod]
    fn from_records(codec: Bound<'_, Codec>, records: &Bound<'_, PyAny>) -> PyResult<Self> {
        let shape = &codec.get().shape;
        let mut columns = rows::builder(shape);
        let mut rows = 0;
        for record in records.try_iter()? {
            let record = record?;
            shape.check(&record)?;
            rows::append(shape, &record, &mut columns, rows)?;
            rows += 1;
        }
        let batch = Batch {
            rows,
            columns,
            origin: None,
        };
        Ok(Self::new(codec.unbind(), batch))
    }

    /// The fields of the record, in their order.
    #[getter]
    fn column_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.names())
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<PyColumn> {
        let Some(index) = self.fields().position(|(field, _)| field.name == name) else {
            let names = self.names().join(", ");
            let why = format!("no column {name:?}; there is {names}");
            return Err(PyKeyError::new_err(why));
        };
        let column = match &self.columns[index].values {
            Values::Same(int) => Arc::new(Column {
                values: Values::Int(vec![*int; self.rows]),
                nulls: self.columns[index].nulls.clone(),
            }),
            _ => Arc::clone(&self.columns[index]),
        };
        Ok(PyColumn {
            codec: self.codec.clone_ref(py),
            index,
            column,
            rows: self.rows,
        })
    }

    /// The records, each made when it is asked for.
    fn records(slf: Bound<'_, Self>) -> Records {
        Records {
            batch: slf.unbind(),
            row: AtomicUsize::new(0),
        }
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = arrow_schema::Field::new("", self.data_type(py)?, false);
        arrow::schema_capsule(py, &schema)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        let arrays = self
            .fields()
            .map(|(field, column)| arrow::array(py, field, column, self.rows));
        let array = ArrayData::builder(self.data_type(py)?)
            .len(self.rows)
            .child_data(arrays.collect::<PyResult<_>>()?);
        // SAFETY: the children are those of the type, and all as long as the whole.
        let array = unsafe { array.build_unchecked() };
        Ok((
            self.__arrow_c_schema__(py)?,
            arrow::array_capsule(py, &array)?,
        ))
    }

    fn __repr__(&self) -> String {
        let shape = match &self.codec.get().shape {
            Shape::Class(class) => format!("[{}]", class.name),
            Shape::Value(_) => String::new(),
        };
        let names = self.names().join(", ");
        format!("Batch{shape}({} records: {names})", self.rows)
    }
}

/// The records of a batch, one after the other.
#[pyclass(frozen, module = "gaia._core")]
struct Records {
    batch: Py<PyBatch>,
    row: AtomicUsize,
}

#[pymethods]
impl Records {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let batch = self.batch.get();
        let row = self.row.load(Relaxed);
        if row == batch.rows {
            return Ok(None);
        }
        self.row.store(row + 1, Relaxed);
        rows::record(py, &batch.codec.get().shape, &batch.columns, row).map(Some)
    }
}

/// The values of one field.
#[pyclass(frozen, name = "Column", module = "gaia._core")]
pub struct PyColumn {
    codec: Py<Codec>,
    index: usize,
    pub column: Arc<Column>,
    pub rows: usize,
}

impl PyColumn {
    pub fn field(&self) -> Field<'_> {
        self.codec.get().shape.field(self.index)
    }

    /// The values in memory, as anyone may read them: format, size of one, and where they begin.
    fn memory(&self) -> Option<(&'static CStr, usize, *const c_void)> {
        // NumPy's own name for its ints of 64 bits is that of the C type.
        let int64 = if size_of::<c_long>() == 8 { c"l" } else { c"q" };
        match &self.column.values {
            _ if self.column.nulls.is_some() => None,
            Values::Int(ints) => Some((int64, 8, ints[..self.rows].as_ptr().cast())),
            Values::Float(floats) => Some((c"d", 8, floats[..self.rows].as_ptr().cast())),
            Values::Bool(bools) => Some((c"?", 1, bools[..self.rows].as_ptr().cast())),
            Values::Text(_) | Values::Same(_) => None,
        }
    }
}

#[pymethods]
impl PyColumn {
    fn to_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let field = self.field();
        let values = (0..self.rows).map(|row| rows::value(py, field, &self.column, row));
        PyList::new(py, values.collect::<PyResult<Vec<_>>>()?)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.to_list(py)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let field = self.field();
        let data_type = arrow::column_type(py, field, &self.column, self.rows)?;
        let schema = arrow_schema::Field::new(field.name, data_type, field.optional);
        arrow::schema_capsule(py, &schema)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        let array = arrow::array(py, self.field(), &self.column, self.rows)?;
        Ok((
            self.__arrow_c_schema__(py)?,
            arrow::array_capsule(py, &array)?,
        ))
    }

    /// What NumPy falls back to where there is no buffer.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let numpy = py.import("numpy")?;
        let array = if slf.get().memory().is_some() {
            let array = numpy.call_method1("asarray", (PyMemoryView::from(slf.as_any())?,))?;
            if copy == Some(true) {
                array.call_method0("copy")?
            } else {
                array
            }
        } else if copy == Some(false) {
            let what = slf.repr()?;
            let why = format!("{what} is no array in memory: one has to be made, with copy=None");
            return Err(PyValueError::new_err(why));
        } else {
            let list = slf.get().to_list(py)?;
            let count = list.len();
            numpy.call_method1("fromiter", (list, "O", count))?
        };
        match dtype {
            Some(dtype) => array.call_method1("astype", (dtype,)),
            None => Ok(array),
        }
    }

    /// # Safety
    /// `view` is one to fill, as Python passes it.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let this = slf.get();
        let Some((format, size, values)) = this.memory() else {
            // SAFETY: as the caller promises; a view that is not filled has no object.
            unsafe { (*view).obj = std::ptr::null_mut() };
            let why = "only a column of int, float or bool without None has its values in memory";
            return Err(PyBufferError::new_err(why));
        };
        let len = (this.rows * size).cast_signed();
        // SAFETY: the view holds on to this object, which has the values, their number and, in the
        // static format, their type. Without an error, all that was asked for is not null.
        unsafe {
            if ffi::PyBuffer_FillInfo(view, slf.as_ptr(), values.cast_mut(), len, 1, flags) != 0 {
                return Err(PyErr::fetch(slf.py()));
            }
            (*view).itemsize = size.cast_signed();
            if !(*view).format.is_null() {
                (*view).format = format.as_ptr().cast_mut();
            }
            if !(*view).shape.is_null() {
                (*view).shape = (&raw const this.rows).cast_mut().cast();
            }
        }
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("Column({:?}, {} values)", self.field().name, self.rows)
    }
}
