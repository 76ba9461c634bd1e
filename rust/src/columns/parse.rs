//! What the parsers of all formats share: what to read, and columns from where fields stand.
//! No Python here.

use std::borrow::Cow;

use triomphe::Arc;

use super::column::{Column, Span, Text, Values};

/// What a parser makes of a field: only kinds that need no Python.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    Str,
    Int,
    Float,
    Bool,
    /// Any text without its escapes; it need not be UTF-8.
    Text,
}

impl Plain {
    /// The name of the type in messages.
    pub fn name(self) -> &'static str {
        match self {
            Plain::Str => "str",
            Plain::Int => "int",
            Plain::Float => "float",
            Plain::Bool => "bool",
            Plain::Text => "bytes",
        }
    }
}

#[derive(Clone, Debug)]
pub struct FieldSpec {
    pub name: String,
    pub kind: Plain,
    pub optional: bool,
}

/// The records in some lines, in their order, and what is said of the lines that hold none.
#[derive(Debug)]
pub struct Parsed<Odd> {
    pub rows: usize,
    pub columns: Vec<Column>,
    pub odd: Vec<Odd>,
}

/// How a format writes values as text.
pub trait Format {
    fn is_null(&self, text: &[u8]) -> bool;
    /// Text without its escapes.
    fn plain<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, [u8]>>;
    /// The int at a span of a block; not just of the text, so that eight bytes can be read at once.
    fn int(&self, block: &[u8], span: Span) -> Option<i64>;
    fn float(&self, text: &[u8]) -> Option<f64>;
    fn bool(&self, text: &[u8]) -> Option<bool>;
}

/// Where the fields of rows stand in a block.
pub struct Cells {
    /// The fields of the first row, then those of the next.
    pub spans: Vec<Span>,
    /// How many fields a row has: at least one.
    pub width: usize,
    /// Which fields hold escapes, by their place in `spans`, in order.
    pub escaped: Vec<u32>,
    /// The numbers of rows that turned out to be none.
    pub bad: Vec<u32>,
    /// Whether all text is known to be UTF-8.
    pub is_utf8: bool,
}

impl Cells {
    /// For about so many fields.
    ///
    /// # Panics
    /// If rows have none.
    pub fn new(width: usize, expected: usize) -> Self {
        assert!(width > 0, "records have fields");
        Self {
            spans: Vec::with_capacity(expected),
            width,
            escaped: Vec::new(),
            bad: Vec::new(),
            is_utf8: false,
        }
    }

    /// Drops the fields from this one on.
    #[cold]
    pub fn truncate(&mut self, first: usize) {
        self.spans.truncate(first);
        let escaped = self.escaped.partition_point(|&at| (at as usize) < first);
        self.escaped.truncate(escaped);
    }

    /// The line of a row.
    pub fn line(&self, row: usize) -> Span {
        let cells = &self.spans[row * self.width..][..self.width];
        let (first, last) = (cells[0], cells[self.width - 1]);
        Span::between(first.start, last.end())
    }

    pub fn rows(&self) -> usize {
        self.spans.len() / self.width
    }

    /// The columns without the bad rows, which then are in order.
    pub fn columns(
        &mut self,
        fields: &[FieldSpec],
        format: &impl Format,
        block: &Arc<Vec<u8>>,
    ) -> Vec<Column> {
        self.columns_at(0..fields.len(), fields, format, block)
    }

    /// As `columns`, each of them at one of these places in a row.
    pub fn columns_at(
        &mut self,
        places: impl IntoIterator<Item = usize>,
        fields: &[FieldSpec],
        format: &impl Format,
        block: &Arc<Vec<u8>>,
    ) -> Vec<Column> {
        let columns: Vec<_> = places
            .into_iter()
            .zip(fields)
            .map(|(i, field)| self.column(i, field, format, block))
            .collect();
        if self.bad.is_empty() {
            return columns;
        }
        self.bad.sort_unstable();
        self.bad.dedup();
        let good = without(self.rows(), &self.bad);
        columns.iter().map(|column| column.gather(&good)).collect()
    }

    /// One column, with anything in bad rows; more of them are found.
    pub fn column(
        &mut self,
        index: usize,
        field: &FieldSpec,
        format: &impl Format,
        block: &Arc<Vec<u8>>,
    ) -> Column {
        let mut missing = Vec::new();
        let values = match field.kind {
            Plain::Int => Values::Int(self.map(index, &mut missing, |at| format.int(block, at))),
            Plain::Float => {
                Values::Float(self.map(index, &mut missing, |at| format.float(at.of(block))))
            }
            Plain::Bool => {
                Values::Bool(self.map(index, &mut missing, |at| format.bool(at.of(block))))
            }
            Plain::Str | Plain::Text => {
                Values::Text(self.text(index, field, format, block, &mut missing))
            }
        };
        // A text that is None is never a value of its column as well.
        let (nulls, bad): (Vec<u32>, _) = missing.into_iter().partition(|&row| {
            let span = self.spans[row as usize * self.width + index];
            field.optional && format.is_null(span.of(block))
        });
        self.bad.extend(bad);
        with_nulls(values, &nulls, self.rows())
    }

    #[inline]
    fn map<T: Default>(
        &self,
        index: usize,
        missing: &mut Vec<u32>,
        parse: impl Fn(Span) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(self.rows());
        for row in self.spans.chunks_exact(self.width) {
            let value = parse(row[index]).unwrap_or_else(|| {
                missing.push(values.len() as u32);
                T::default()
            });
            values.push(value);
        }
        values
    }

    fn text(
        &self,
        index: usize,
        field: &FieldSpec,
        format: &impl Format,
        block: &Arc<Vec<u8>>,
        missing: &mut Vec<u32>,
    ) -> Text {
        let escaped = self.escaped.iter().map(|&at| at as usize);
        let mut escaped = escaped
            .filter(|at| at % self.width == index)
            .map(|at| at / self.width)
            .peekable();
        let is_free = field.kind == Plain::Text;
        if !field.optional && (is_free || self.is_utf8) && escaped.peek().is_none() {
            return Text {
                data: Arc::clone(block),
                spans: self.map(index, missing, Some),
            };
        }
        let mut texts = Texts::new(block, self.rows());
        for (row, cells) in self.spans.chunks_exact(self.width).enumerate() {
            let text = cells[index].of(block);
            let escapes = std::iter::from_fn(|| escaped.next_if_eq(&row)).count();
            // An empty text with escapes is one in quotes: a value.
            let is_value = escapes > 0 && text.is_empty();
            let is_null = field.optional && format.is_null(text) && !is_value;
            let value = match escapes {
                0 => Some(Cow::Borrowed(text)),
                _ => format.plain(text),
            };
            let value = value.filter(|value| {
                let is_known = is_free || self.is_utf8 && escapes == 0;
                !is_null && (is_known || str::from_utf8(value).is_ok())
            });
            match value {
                Some(Cow::Owned(own)) => texts.push_own(&own),
                Some(Cow::Borrowed(_)) => texts.push(cells[index]),
                None => {
                    missing.push(row as u32);
                    texts.push(cells[index]);
                }
            }
        }
        texts.finish()
    }
}

/// The numbers below `count` but for these, which are in order.
pub fn without(count: usize, numbers: &[u32]) -> Vec<u32> {
    let mut numbers = numbers.iter().peekable();
    (0..count as u32)
        .filter(|number| numbers.next_if_eq(&number).is_none())
        .collect()
}

/// A column whose rows of these numbers are None.
fn with_nulls(values: Values, rows: &[u32], count: usize) -> Column {
    let nulls = (!rows.is_empty()).then(|| {
        let mut nulls = vec![false; count];
        rows.iter().for_each(|&row| nulls[row as usize] = true);
        nulls
    });
    Column { values, nulls }
}

/// Texts that stand in a block; all of them are copied when one does not.
pub struct Texts<'a> {
    block: &'a Arc<Vec<u8>>,
    spans: Vec<Span>,
    copy: Option<Vec<u8>>,
}

impl<'a> Texts<'a> {
    pub fn new(block: &'a Arc<Vec<u8>>, rows: usize) -> Self {
        Self {
            block,
            spans: Vec::with_capacity(rows),
            copy: None,
        }
    }

    /// Adds a text that stands in the block.
    #[inline]
    pub fn push(&mut self, span: Span) {
        match self.copy {
            None => self.spans.push(span),
            Some(_) => self.push_own(span.of(self.block)),
        }
    }

    /// Adds a text that does not.
    pub fn push_own(&mut self, text: &[u8]) {
        let copy = self.copy.get_or_insert_with(|| {
            let mut copy = Vec::new();
            for span in &mut self.spans {
                *span = append(&mut copy, span.of(self.block));
            }
            copy
        });
        self.spans.push(append(copy, text));
    }

    pub fn finish(self) -> Text {
        Text {
            data: self.copy.map_or_else(|| Arc::clone(self.block), Arc::new),
            spans: self.spans,
        }
    }
}

/// Appends a text; where it then stands.
pub fn append(data: &mut Vec<u8>, text: &[u8]) -> Span {
    let span = Span::new(data.len(), text.len());
    data.extend_from_slice(text);
    span
}

/// The part of a block in which all these spans stand: one check of it is quicker than one of each.
pub fn hull(spans: &[Span]) -> std::ops::Range<usize> {
    let start = spans.iter().map(|span| span.start).min();
    let end = spans.iter().map(|span| span.end()).max();
    start.unwrap_or(0) as usize..end.unwrap_or(0) as usize
}
