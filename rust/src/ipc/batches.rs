//! Batches of Arrow's as an input: from a stream of messages, or from what exports them.

use std::ops::Range;

use arrow_data::ffi::FFI_ArrowArray as Array;
use arrow_schema::ffi::FFI_ArrowSchema as Schema;
use arrow_schema::{DataType, Field};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyIterator};

use crate::cell::GilCell;
use crate::codec::{Codec, Shape};
use crate::columns::arrow::{invalid, schema_capsule};
use crate::columns::column::Batch;
use crate::columns::from_arrow::Imports;
use crate::columns::rows;
use crate::ipc::check;
use crate::ipc::part::Part;
use crate::ipc::stream::Stream;

/// The batches of an Arrow stream or file, or of an iterable of what exports them through capsules.
#[pyclass(frozen, module = "gaia._core")]
pub struct Batches(GilCell<BatchReader>);

#[pymethods]
impl Batches {
    #[staticmethod]
    #[pyo3(signature = (source, ranges=None, first_row=0))]
    fn stream(
        source: &Bound<'_, PyAny>,
        ranges: Option<Vec<(u64, u64)>>,
        first_row: u64,
    ) -> PyResult<Self> {
        let stream = Stream::open(source, ranges)?;
        let schema = Schema::try_from(&stream.decoder.schema).map_err(invalid)?;
        Ok(Self::new(
            Source::Stream(Box::new(stream), schema),
            first_row,
        ))
    }

    #[staticmethod]
    #[pyo3(signature = (source, first_row=0))]
    fn arrays(source: &Bound<'_, PyAny>, first_row: u64) -> PyResult<Self> {
        let source = Source::Objects(source.try_iter()?.unbind(), None);
        Ok(Self::new(source, first_row))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let mut reader = self.0.borrow_mut(py)?;
        reader.open(py)?;
        let Some(schema) = reader.source.schema() else {
            let why = "expected at least one batch, got none";
            return Err(PyValueError::new_err(why));
        };
        let data_type = DataType::try_from(schema).map_err(invalid)?;
        schema_capsule(py, &Field::new("", data_type, false))
    }
}

impl Batches {
    fn new(source: Source, first_row: u64) -> Self {
        Self(GilCell::new(BatchReader {
            source,
            codec: None,
            chosen: None,
            part: None,
            row: first_row,
        }))
    }

    pub fn reader<'a>(&'a self, py: Python<'a>) -> PyResult<std::cell::RefMut<'a, BatchReader>> {
        self.0.borrow_mut(py)
    }
}

pub struct BatchReader {
    source: Source,
    /// What all rows are read as.
    codec: Option<Py<Codec>>,
    /// From the schema of the batch at hand.
    chosen: Option<Chosen>,
    /// The batch at hand, and how many of its rows are done.
    part: Option<(Part, usize)>,
    /// The number of the next row.
    row: u64,
}

/// Which columns of a schema are those of a record.
struct Chosen {
    columns: Vec<usize>,
    schemas: Vec<Schema>,
}

enum Source {
    Stream(Box<Stream>, Schema),
    /// Objects, and what the last of them exports.
    Objects(Py<PyIterator>, Option<Imports>),
}

impl Source {
    fn schema(&self) -> Option<&Schema> {
        match self {
            Source::Stream(_, schema) => Some(schema),
            Source::Objects(_, imports) => imports.as_ref().map(|imports| &imports.schema),
        }
    }
}

/// Rows of the batch at hand, of which the first has this number.
pub struct Window {
    pub rows: Range<usize>,
    pub number: u64,
}

impl Window {
    /// The rows one by one.
    pub fn each(&self) -> impl Iterator<Item = Window> {
        self.rows
            .clone()
            .zip(self.number..)
            .map(|(row, number)| Window {
                rows: row..row + 1,
                number,
            })
    }
}

impl BatchReader {
    /// The next rows to read together.
    pub fn next(&mut self, codec: &Bound<'_, Codec>) -> PyResult<Option<Window>> {
        let py = codec.py();
        let first = self.codec.get_or_insert_with(|| codec.clone().unbind());
        if !first.is(codec) {
            let why = "expected the codec that these batches have been read with before";
            return Err(PyValueError::new_err(why));
        }
        let shape = &codec.get().shape;
        loop {
            if let (Some((part, done)), Some(chosen)) = (&mut self.part, &self.chosen) {
                // SAFETY: the columns were chosen for this part.
                let step = unsafe { part.step(&chosen.schemas) };
                let rows = *done..part.rows.min(*done + step);
                if !rows.is_empty() {
                    *done = rows.end;
                    let number = self.row;
                    self.row += rows.len() as u64;
                    return Ok(Some(Window { rows, number }));
                }
            }
            py.check_signals()?;
            let Some(part) = self.next_part(py, shape)? else {
                return Ok(None);
            };
            self.part = Some((part, 0));
        }
    }

    /// Some rows of the batch at hand.
    pub fn batch(&self, py: Python<'_>, window: &Window) -> PyResult<Batch> {
        let at_hand = (&self.part, &self.chosen, &self.codec);
        let (Some((part, _)), Some(chosen), Some(codec)) = at_hand else {
            unreachable!("rows are of a batch");
        };
        let shape = &codec.get().shape;
        let (rows, number) = (window.rows.clone(), window.number);
        // SAFETY: the columns were chosen for this part.
        unsafe { part.batch(py, shape, &chosen.schemas, rows, number) }
    }

    /// Goes on to the next object, where the last has been read.
    fn open(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Source::Objects(objects, imports) = &mut self.source
            && imports.is_none()
            && let Some(object) = objects.bind(py).clone().next()
        {
            self.part = None;
            self.chosen = None;
            *imports = Some(Imports::open(&object?)?);
        }
        Ok(())
    }

    fn next_part(&mut self, py: Python<'_>, shape: &Shape) -> PyResult<Option<Part>> {
        loop {
            self.open(py)?;
            let Some(schema) = self.source.schema() else {
                return Ok(None);
            };
            let chosen = match &mut self.chosen {
                Some(chosen) => chosen,
                none => none.insert(Chosen::new(py, shape, schema)?),
            };
            let columns = &chosen.columns;
            match &mut self.source {
                Source::Stream(stream, _) => {
                    let next = stream.next(py, columns)?;
                    return Ok(next.map(|(rows, arrays)| {
                        Part::decoded(rows, arrays.iter().map(Array::new).collect())
                    }));
                }
                Source::Objects(_, imports) => {
                    let next = imports
                        .as_mut()
                        .map(|imports| imports.next(py))
                        .transpose()?;
                    match next.flatten() {
                        None => *imports = None,
                        Some(array) if array.null_count() != 0 => {
                            let why = "expected records, got some that are null as a whole";
                            return Err(PyValueError::new_err(why));
                        }
                        Some(array) => return Ok(Some(Part::imported(array, columns.clone()))),
                    }
                }
            }
        }
    }
}

impl Chosen {
    fn new(py: Python<'_>, shape: &Shape, schema: &Schema) -> PyResult<Self> {
        let columns = check::columns(py, shape, schema)?;
        let schemas = columns.iter().map(|&column| {
            let field = Field::try_from(schema.child(column));
            field.and_then(|field| Schema::try_from(&field))
        });
        Ok(Self {
            schemas: schemas.collect::<Result<_, _>>().map_err(invalid)?,
            columns,
        })
    }
}

/// The records of batches, as an iterator.
#[pyclass(frozen, module = "gaia._core")]
pub struct BatchRecords {
    batches: Py<Batches>,
    codec: Py<Codec>,
    /// The batch at hand, and its next row.
    current: GilCell<Option<(Batch, usize)>>,
}

#[pymethods]
impl BatchRecords {
    #[new]
    fn new(batches: Py<Batches>, codec: Py<Codec>) -> Self {
        Self {
            batches,
            codec,
            current: GilCell::new(None),
        }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let shape = &self.codec.get().shape;
        let mut current = self.current.borrow_mut(py)?;
        loop {
            if let Some((batch, row)) = &mut *current
                && *row < batch.rows
            {
                *row += 1;
                return rows::record(py, shape, &batch.columns, *row - 1).map(Some);
            }
            let mut reader = self.batches.get().reader(py)?;
            let Some(window) = reader.next(self.codec.bind(py))? else {
                return Ok(None);
            };
            *current = Some((reader.batch(py, &window)?, 0));
        }
    }
}
