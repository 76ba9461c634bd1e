//! Records to lines and back.

use std::ffi::CString;

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use triomphe::Arc;

use crate::columns::column::{Batch, Span, Text, Values};
use crate::columns::encode::{Encoder, Style};
use crate::columns::parse::{FieldSpec, Plain};
use crate::columns::quotes::QUOTE;
use crate::columns::rows;
use crate::columns::schema::Field;
use crate::ops::csv::{Layout, ParseCsv};
use crate::ops::delimited::{Delimited, Parser};
use crate::quote::write_str;
use crate::record::Class;
use crate::value::{Kind, explained, refused};
use crate::{csv, json, profile, text};

/// How records of one type stand in the lines of one format.
#[pyclass(frozen, module = "gaia._core")]
pub struct Codec {
    pub shape: Shape,
    format: Format,
    /// What lines of the text format are parsed as, where that needs no Python.
    fields: Option<Vec<FieldSpec>>,
}

pub enum Shape {
    Value(Kind),
    Class(Class),
}

impl Shape {
    /// The fields as parsers see them. Values that Python makes stay the text that they are.
    pub fn specs(&self) -> Vec<FieldSpec> {
        let spec = |i: usize| {
            let field = self.field(i);
            FieldSpec {
                name: field.name.to_owned(),
                kind: match field.kind {
                    Kind::Int => Plain::Int,
                    Kind::Float => Plain::Float,
                    Kind::Bool => Plain::Bool,
                    Kind::Bytes => Plain::Text,
                    Kind::Str | Kind::Via { .. } | Kind::Json { .. } => Plain::Str,
                },
                optional: field.optional,
            }
        };
        (0..self.width()).map(spec).collect()
    }

    /// The field in messages; nothing for a single value.
    pub fn label(&self, i: usize) -> &str {
        match self {
            Shape::Class(class) => &class.fields[i].label,
            Shape::Value(_) => "",
        }
    }

    /// # Errors
    /// `TypeError` unless the record can be one of this shape; of a single value, more is known
    /// when it is encoded.
    pub fn check(&self, record: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Shape::Class(class) => class.check(record),
            Shape::Value(_) => Ok(()),
        }
    }
}

enum Format {
    Text {
        own: Option<Py<PyAny>>,
    },
    /// Text in another encoding, or read with another error handler: for reading only.
    Foreign {
        encoding: CString,
        errors: CString,
    },
    /// `write` turns a record into plain JSON values where fields alone would not do.
    Json {
        write: Option<Py<PyAny>>,
        read: Py<PyAny>,
    },
    /// `foreign` are rows that Gaia need not have written, where a blank line is none.
    Csv {
        rows: Box<Delimited>,
        foreign: bool,
    },
    /// Columns, and no lines.
    Arrow,
}

#[pymethods]
impl Codec {
    #[new]
    #[pyo3(signature = (record_type, format, *, encoding="utf-8", errors="strict", delimiter=',',
                        columns=None))]
    fn new(
        record_type: &Bound<'_, PyAny>,
        format: &str,
        encoding: &str,
        errors: &str,
        delimiter: char,
        columns: Option<(Vec<usize>, usize)>,
    ) -> PyResult<Self> {
        let shape = match record_type.getattr("kind")?.extract::<String>()?.as_str() {
            "class" => Shape::Class(Class::from_python(record_type)?),
            _ => Shape::Value(Kind::from_python(record_type)?),
        };
        let format = match format {
            "txt" if (encoding, errors) != ("utf-8", "strict") => Format::Foreign {
                encoding: CString::new(encoding)?,
                errors: CString::new(errors)?,
            },
            "txt" => Format::Text {
                own: record_type.getattr("from_text")?.extract()?,
            },
            "jsonl" => Format::Json {
                write: record_type.getattr("to_json")?.extract()?,
                read: record_type.getattr("from_json")?.unbind(),
            },
            "csv" => {
                let fields = shape.specs();
                let foreign = columns.is_some();
                let layout = match columns {
                    None => Layout::of(fields),
                    Some((columns, width)) => Layout {
                        fields,
                        columns,
                        width,
                    },
                };
                let parser = Parser::Csv(ParseCsv {
                    layout,
                    delimiter: delimiter as u8,
                    quote: QUOTE,
                });
                let rows = Box::new(Delimited::new(parser, &shape));
                Format::Csv { rows, foreign }
            }
            "arrow" => Format::Arrow,
            other => return Err(PyValueError::new_err(format!("unknown format `{other}`"))),
        };
        let plain = matches!(format, Format::Text { own: None } | Format::Foreign { .. });
        let dicts = matches!(shape, Shape::Value(Kind::Json { .. }));
        let fields = (plain && !dicts).then(|| shape.specs());
        Ok(Self {
            shape,
            format,
            fields,
        })
    }

    /// The line for a record, without its line end.
    #[pyo3(name = "encode")]
    fn py_encode<'py>(&self, record: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        self.shape.check(record)?;
        let mut out = Vec::new();
        self.encode(record, &mut out)?;
        Ok(PyBytes::new(record.py(), &out))
    }

    /// What comes first in every file: of CSV, the row of the fields' names.
    fn head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let head = match &self.format {
            Format::Csv { .. } => csv::head(&self.shape),
            _ => Vec::new(),
        };
        PyBytes::new(py, &head)
    }

    /// The record on a line, given without its line end.
    #[pyo3(name = "decode")]
    fn py_decode<'py>(&self, py: Python<'py>, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.decode(py, line)
    }
}

impl Codec {
    /// Whether records stand in columns rather than in lines.
    pub fn is_arrow(&self) -> bool {
        matches!(self.format, Format::Arrow)
    }

    /// Whether a line without text holds no record.
    pub fn skips_blank(&self) -> bool {
        matches!(
            self.format,
            Format::Json { .. } | Format::Csv { foreign: true, .. }
        )
    }

    /// What reads rows of CSV.
    pub fn csv(&self) -> Option<&Delimited> {
        match &self.format {
            Format::Csv { rows, .. } => Some(rows),
            _ => None,
        }
    }

    /// What lines are parsed as; None where that needs Python.
    pub fn fields(&self) -> Option<&[FieldSpec]> {
        self.fields.as_deref()
    }

    /// Whether lines are JSON objects of values that need no Python, by the names of the fields.
    pub fn reads_plain_objects(&self) -> bool {
        let plain = |field: Field<'_>| {
            !matches!(
                field.kind,
                Kind::Bytes | Kind::Via { .. } | Kind::Json { .. }
            )
        };
        matches!(self.format, Format::Json { write: None, .. }) && self.shape.fields().all(plain)
    }

    /// Whether text that is UTF-8 is read as such.
    pub fn is_utf8(&self) -> bool {
        match &self.format {
            Format::Foreign { encoding, .. } => encoding.as_bytes() == b"utf-8",
            _ => true,
        }
    }

    /// How rows of columns are written; None where Python has a hand in it.
    pub fn encoder(&self) -> Option<Encoder> {
        let style = match (&self.format, &self.shape) {
            (Format::Text { own: None }, Shape::Class(_)) => Style::Tabbed,
            (Format::Text { own: None }, Shape::Value(_)) => Style::Bare,
            (Format::Json { write: None, .. }, Shape::Class(_)) => Style::JsonObject,
            (Format::Json { .. }, Shape::Value(_)) => Style::Json,
            (Format::Csv { .. }, _) => Style::Csv,
            _ => return None,
        };
        Encoder::new(style, &self.shape)
    }

    pub fn has_own_text(&self) -> bool {
        matches!(self.format, Format::Text { own: Some(_) })
    }

    /// Appends the line for a record whose shape has been checked.
    pub fn encode(&self, record: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
        match (&self.format, &self.shape) {
            (Format::Text { .. } | Format::Foreign { .. }, Shape::Value(kind)) => {
                text::write_bare(kind, record, out)
            }
            (Format::Text { own: Some(_) }, Shape::Class(_)) => text::write_own(record, out),
            (Format::Text { .. } | Format::Foreign { .. }, Shape::Class(class)) => {
                for (i, field) in class.fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b'\t');
                    }
                    let value = class.get(record, i)?;
                    if text::write_common(&field.kind, &value, out) {
                        continue;
                    }
                    if field.optional && value.is_none() {
                        out.extend_from_slice(text::NULL);
                    } else {
                        text::write_kind(&field.kind, &field.label, &value, out)?;
                    }
                }
                Ok(())
            }
            (Format::Json { .. }, Shape::Value(kind)) => json::write_kind(kind, "", record, out),
            (
                Format::Json {
                    write: Some(write), ..
                },
                Shape::Class(_),
            ) => json::write_any("", &json::converted(write, "", record)?, out),
            (Format::Json { write: None, .. }, Shape::Class(class)) => {
                out.push(b'{');
                for (i, field) in class.fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_str(field.name.bind(record.py()).to_str()?.as_bytes(), out);
                    out.push(b':');
                    let value = class.get(record, i)?;
                    if field.optional && value.is_none() {
                        out.extend_from_slice(b"null");
                    } else {
                        json::write_kind(&field.kind, &field.label, &value, out)?;
                    }
                }
                out.push(b'}');
                Ok(())
            }
            (Format::Csv { .. }, shape) => {
                for (i, field) in shape.fields().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    let value = match shape {
                        Shape::Class(class) => &class.get(record, i)?,
                        Shape::Value(_) => record,
                    };
                    if !(field.optional && value.is_none()) {
                        csv::write_kind(field.kind, field.label, value, out)?;
                    }
                }
                Ok(())
            }
            (Format::Arrow, _) => Err(no_lines()),
        }
    }

    /// Takes back a record that `decode` made and user code is done with.
    pub fn take_back(&self, record: Bound<'_, PyAny>) -> PyResult<()> {
        match &self.shape {
            Shape::Class(class) => class.take_back(record),
            Shape::Value(_) => Ok(()),
        }
    }

    pub fn decode<'py>(&self, py: Python<'py>, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match (&self.format, &self.shape) {
            (Format::Text { .. }, Shape::Value(kind)) => text::read_bare(py, kind, line),
            (Format::Foreign { encoding, errors }, _) => {
                // SAFETY: a live slice and two C strings; null comes with an exception set.
                unsafe {
                    Bound::from_owned_ptr_or_err(
                        py,
                        ffi::PyUnicode_Decode(
                            line.as_ptr().cast(),
                            line.len().cast_signed(),
                            encoding.as_ptr(),
                            errors.as_ptr(),
                        ),
                    )
                }
            }
            (
                Format::Text {
                    own: Some(from_text),
                },
                Shape::Class(_),
            ) => {
                let text = text::decode_utf8(py, line)?;
                let _users = profile::users();
                from_text.bind(py).call1((text,))
            }
            (Format::Text { own: None }, Shape::Class(class)) => read_fields(py, class, line),
            (Format::Json { read, .. }, _) => {
                let read = read.bind(py).call1((PyBytes::new(py, line),));
                read.map_err(|error| explained("", error, py))
            }
            (Format::Csv { rows, .. }, shape) => {
                let text = Text {
                    data: Arc::new(line.to_vec()),
                    spans: vec![Span::new(0, line.len())],
                };
                let lines = Batch {
                    rows: 1,
                    columns: vec![Values::Text(text).into()],
                    origin: None,
                };
                let read = rows.records(py, &lines, shape, |_, _, bad| {
                    Err(PyValueError::new_err(bad.why))
                })?;
                rows::record(py, shape, &read.columns, 0)
            }
            (Format::Arrow, _) => Err(no_lines()),
        }
    }
}

#[cold]
fn no_lines() -> PyErr {
    PyValueError::new_err("expected a format of lines, got arrow, which has columns")
}

fn read_fields<'py>(py: Python<'py>, class: &Class, line: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let count = class.fields.len();
    let mut fields = line.split(|&byte| byte == b'\t');
    let complete = class.make(py, |field| {
        let Some(text) = fields.next() else {
            return Ok(None);
        };
        Ok(Some(if field.optional && text == text::NULL {
            py.None().into_bound(py)
        } else {
            text::read_kind(py, &field.kind, &field.label, text)?
        }))
    })?;
    match complete {
        Some(record) if fields.next().is_none() || (count == 0 && line.is_empty()) => Ok(record),
        _ => {
            let got = line.split(|&byte| byte == b'\t').count();
            let name = &class.name;
            let why = format!("`{name}` has {count} fields separated by tabs, the line has {got}");
            Err(refused("", &why))
        }
    }
}
