//! Native operators: whole batches in, whole batches out, without a call into Python.

pub mod csv;
pub mod delimited;
pub mod filter;
pub mod find;
mod json;
pub mod lower;
mod parse;
mod runs;
mod template;
pub mod words;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use triomphe::Arc;

use crate::codec::{Codec, Shape};
use crate::columns::column::{Batch, Column, Origin, Span, Text, Values};
use crate::columns::quotes::QUOTE;
use crate::columns::rows;
use crate::groups::keys::moment;
use crate::ops::csv::{Bad, Layout, ParseCsv, Split};
use crate::ops::delimited::{Delimited, Parser};
use crate::ops::filter::{Comparison, Constant, filter};
use crate::ops::find::Finder;
use crate::ops::json::ParseJson;
use crate::ops::lower::lower;
use crate::ops::parse::parse_json;
use crate::ops::template::Template;
use crate::ops::words::{split_on, split_space};
use crate::state::TaskState;
use crate::value::{Kind, Plain};

/// A native step, between records of one type and of another.
#[pyclass(frozen, module = "gaia._core")]
pub struct Op {
    kernel: Kernel,
    gives: Py<Codec>,
}

enum Kernel {
    Words,
    SplitWords(Vec<u8>),
    FindAll(Finder),
    Grep(Finder, usize),
    Replace(Finder, Template, usize),
    Lower(usize),
    Select(Vec<usize>),
    Filter(usize, Comparison, Constant),
    Parse(Delimited),
    ParseJson(Option<ParseJson>),
}

#[pymethods]
impl Op {
    /// `parameters` are those of the operator in `gaia.ops`, fields by their numbers.
    #[new]
    #[pyo3(signature = (name, takes, gives, **parameters))]
    fn new(
        name: &str,
        takes: Py<Codec>,
        gives: Py<Codec>,
        parameters: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let given = |name: &str| match parameters.map(|all| all.get_item(name)).transpose()? {
            Some(Some(value)) => Ok(value),
            _ => Err(PyValueError::new_err(format!("no parameter `{name}`"))),
        };
        let field = || given("field")?.extract::<usize>();
        let finder = || -> PyResult<Finder> {
            Finder::new(&given("pattern")?.extract::<String>()?).map_err(PyValueError::new_err)
        };
        let kernel = match name {
            "words" => match given("separator")?.extract::<Option<String>>()? {
                None => Kernel::Words,
                Some(separator) => Kernel::SplitWords(separator.into_bytes()),
            },
            "find_all" => match finder()? {
                finder if finder.groups() > 1 => {
                    let groups = finder.groups();
                    let why = format!("expected a pattern of at most one group, got {groups}");
                    return Err(PyValueError::new_err(why));
                }
                finder => Kernel::FindAll(finder),
            },
            "grep" => Kernel::Grep(finder()?, field()?),
            "replace" => {
                let finder = finder()?;
                let template = finder
                    .template(&given("replacement")?.extract::<String>()?)
                    .map_err(PyValueError::new_err)?;
                Kernel::Replace(finder, template, field()?)
            }
            "lower" => Kernel::Lower(field()?),
            "select" => Kernel::Select(given("fields")?.extract()?),
            "filter" => {
                let comparison = given("comparison")?.extract::<String>()?;
                let comparison = Comparison::from_name(&comparison).ok_or_else(|| {
                    PyValueError::new_err(format!("unknown comparison `{comparison}`"))
                })?;
                let field = field()?;
                let constant = constant(&takes.get().shape, field, &given("value")?)?;
                Kernel::Filter(field, comparison, constant)
            }
            "parse_csv" => {
                let shape = &gives.get().shape;
                let parser = ParseCsv {
                    layout: Layout::of(shape.specs()),
                    delimiter: given("delimiter")?.extract::<char>()? as u8,
                    quote: QUOTE,
                };
                Kernel::Parse(Delimited::new(Parser::Csv(parser), shape))
            }
            "split" => {
                let shape = &gives.get().shape;
                let parser = Split {
                    layout: Layout::of(shape.specs()),
                    separator: given("separator")?.extract::<String>()?.into_bytes(),
                };
                Kernel::Parse(Delimited::new(Parser::Split(parser), shape))
            }
            "parse_json" => {
                let plain = gives.get().reads_plain_objects();
                let fields = gives.get().shape.specs();
                Kernel::ParseJson(plain.then_some(ParseJson { fields }))
            }
            other => return Err(PyValueError::new_err(format!("unknown operator `{other}`"))),
        };
        Ok(Self { kernel, gives })
    }
}

impl Op {
    /// What the operator makes of a batch.
    pub fn apply(&self, py: Python<'_>, batch: &Batch, state: &TaskState) -> PyResult<Vec<Batch>> {
        let gives = self.gives.get();
        match &self.kernel {
            Kernel::Parse(parse) => {
                let count = |batch: &Batch, row, bad: Bad| {
                    state.bad_row(py, batch, row, &bad)?;
                    state.parse_error(py, PyValueError::new_err(bad.why))
                };
                Ok(vec![parse.records(py, batch, &gives.shape, count)?])
            }
            Kernel::ParseJson(parser) => parse_json(py, parser.as_ref(), batch, gives, state),
            _ => Ok(vec![py.detach(|| self.run(batch))]),
        }
    }

    fn run(&self, batch: &Batch) -> Batch {
        let gives = &self.gives.get().shape;
        match &self.kernel {
            Kernel::Words => {
                let text = batch.columns[0].text();
                match lines(batch, text) {
                    Some(lines) => words(gives, batch, text, |spans| {
                        split_space(&text.data[lines.clone()], spans);
                        shift(spans, lines.start);
                    }),
                    None => words(gives, batch, text, |spans| {
                        for span in &text.spans {
                            let done = spans.len();
                            split_space(span.of(&text.data), spans);
                            shift(&mut spans[done..], span.start as usize);
                        }
                    }),
                }
            }
            Kernel::SplitWords(separator) => {
                let text = batch.columns[0].text();
                words(gives, batch, text, |spans| {
                    for &span in &text.spans {
                        split_on(&text.data, span, separator, spans);
                    }
                })
            }
            Kernel::FindAll(finder) => {
                let text = batch.columns[0].text();
                words(gives, batch, text, |spans| {
                    // With carriage returns at line ends, each line is searched by itself.
                    let lines = lines(batch, text)
                        .filter(|lines| memchr::memchr(b'\r', &text.data[lines.clone()]).is_none());
                    if let Some(lines) = lines
                        && finder.find_all_in_block(&text.data[lines.clone()], spans)
                    {
                        shift(spans, lines.start);
                        return;
                    }
                    finder.find_all_in_lines(&text.data, &text.spans, spans);
                })
            }
            Kernel::Grep(finder, field) => {
                let column = &batch.columns[*field];
                let text = column.text();
                let found = |&row: &u32| {
                    let row = row as usize;
                    !column.is_null(row) && finder.is_match(text.get(row))
                };
                let rows: Vec<u32> = (0..batch.rows as u32).filter(found).collect();
                batch.gather(&rows)
            }
            Kernel::Replace(finder, template, field) => with_text(batch, *field, |text| {
                let mut replaced = Text::default();
                let mut scratch = Vec::new();
                for row in 0..text.spans.len() {
                    scratch.clear();
                    finder.replace_all(text.get(row), template, &mut scratch);
                    replaced.push(&scratch);
                }
                replaced
            }),
            Kernel::Lower(field) => with_text(batch, *field, lower),
            Kernel::Select(fields) => Batch {
                rows: batch.rows,
                columns: fields
                    .iter()
                    .map(|&field| batch.columns[field].clone())
                    .collect(),
                origin: batch.origin.clone().map(Origin::without_lines),
            },
            Kernel::Filter(field, comparison, constant) => batch.gather(&filter(
                &batch.columns[*field],
                batch.rows,
                *comparison,
                constant,
            )),
            Kernel::Parse(_) | Kernel::ParseJson(_) => unreachable!("it needs Python"),
        }
    }
}

/// The range of the text's data that the rows are all lines of.
fn lines(batch: &Batch, text: &Text) -> Option<std::ops::Range<usize>> {
    let Some(Origin::Block(block)) = &batch.origin else {
        return None;
    };
    let lines = block.lines.clone()?;
    Arc::ptr_eq(&block.data, &text.data).then_some(lines)
}

fn shift(spans: &mut [Span], by: usize) {
    if by > 0 {
        for span in spans {
            *span = Span::new(span.start as usize + by, span.len as usize);
        }
    }
}

/// A record for each text that `find` appends: the text in the first field, 1 in all others.
fn words(gives: &Shape, batch: &Batch, text: &Text, find: impl FnOnce(&mut Vec<Span>)) -> Batch {
    let mut spans = Vec::with_capacity(text.data.len() / 5);
    find(&mut spans);
    let rows = spans.len();
    let data = Arc::clone(&text.data);
    let mut columns = vec![Column::from(Values::Text(Text { data, spans }))];
    columns.resize_with(gives.width(), || Values::Same(1).into());
    Batch {
        rows,
        columns,
        origin: batch.origin.as_ref().map(|origin| origin.partly()),
    }
}

/// The batch with the texts of one field changed.
fn with_text(batch: &Batch, field: usize, change: impl FnOnce(&Text) -> Text) -> Batch {
    let mut batch = batch.clone();
    let column = &mut batch.columns[field];
    column.values = Values::Text(change(column.text()));
    batch.origin = batch.origin.map(Origin::without_lines);
    batch
}

/// A value to compare a field with.
fn constant(shape: &Shape, field: usize, value: &Bound<'_, PyAny>) -> PyResult<Constant> {
    if value.is_none() {
        return Ok(Constant::None);
    }
    let mut column = rows::builder(shape).swap_remove(field);
    rows::push(shape.field(field), value, &mut column, 0)?;
    Ok(match &column.values {
        Values::Int(ints) => Constant::Int(ints[0]),
        Values::Float(floats) => Constant::Float(floats[0]),
        Values::Bool(bools) => Constant::Bool(bools[0]),
        Values::Text(text) => match (shape.field(field).kind, moment(text.get(0))) {
            (
                Kind::Via {
                    plain: Plain::Datetime,
                    ..
                },
                Some(micros),
            ) => Constant::Moment(micros),
            (
                Kind::Via {
                    plain: Plain::Datetime,
                    ..
                },
                None,
            ) => Constant::Naive(text.get(0).to_vec()),
            _ => Constant::Text(text.get(0).to_vec()),
        },
        Values::Same(int) => Constant::Int(*int),
    })
}
