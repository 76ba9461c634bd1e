//! Columns: the values of one field of many records. No Python here.

use std::ops::Range;

use triomphe::Arc;

/// Appends a text that is mostly short: without the call that copying a few bytes would be.
#[inline]
pub fn extend_short(data: &mut Vec<u8>, text: &[u8]) {
    let len = text.len();
    if len > 16 {
        return data.extend_from_slice(text);
    }
    data.reserve(16);
    let from = text.as_ptr();
    // SAFETY: there is room for 16 bytes, and only the `len` first are written, from as many, some
    // of them twice.
    unsafe {
        let to = data.as_mut_ptr().add(data.len());
        match len {
            8.. => {
                to.copy_from_nonoverlapping(from, 8);
                to.add(len - 8)
                    .copy_from_nonoverlapping(from.add(len - 8), 8);
            }
            4.. => {
                to.copy_from_nonoverlapping(from, 4);
                to.add(len - 4)
                    .copy_from_nonoverlapping(from.add(len - 4), 4);
            }
            1.. => {
                *to = *from;
                *to.add(len / 2) = *from.add(len / 2);
                *to.add(len - 1) = *from.add(len - 1);
            }
            0 => {}
        }
        data.set_len(data.len() + len);
    }
}

/// Where a text stands in the data of its column.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// # Panics
    /// If the text does not end in the first 4 GiB: batches are cut long before.
    #[inline]
    pub fn new(start: usize, len: usize) -> Self {
        let end = u32::try_from(start + len).expect("a column's text is below 4 GiB");
        Self {
            start: start as u32,
            len: end - start as u32,
        }
    }

    #[inline]
    pub fn between(start: u32, end: u32) -> Self {
        Self {
            start,
            len: end - start,
        }
    }

    #[inline]
    pub fn end(self) -> u32 {
        self.start + self.len
    }

    #[inline]
    pub fn of(self, data: &[u8]) -> &[u8] {
        &data[self.start as usize..][..self.len as usize]
    }
}

/// Texts, one beside the other or anywhere in data that columns share.
#[derive(Clone, Debug, Default)]
pub struct Text {
    pub data: Arc<Vec<u8>>,
    pub spans: Vec<Span>,
}

impl Text {
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        self.spans[row].of(&self.data)
    }

    /// Appends a text.
    pub fn push(&mut self, text: &[u8]) {
        let data = Arc::make_mut(&mut self.data);
        self.spans.push(Span::new(data.len(), text.len()));
        extend_short(data, text);
    }
}

/// The values of a column by how they are stored. A row without a value holds anything.
#[derive(Clone, Debug)]
pub enum Values {
    /// UTF-8 for a str; bytes; JSON; a datetime, date or enum as it is written to TXT.
    Text(Text),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    /// The same int in every row.
    Same(i64),
}

#[derive(Clone, Debug)]
pub struct Column {
    pub values: Values,
    /// Which rows are None; None if no row is.
    pub nulls: Option<Vec<bool>>,
}

impl From<Values> for Column {
    fn from(values: Values) -> Self {
        Self {
            values,
            nulls: None,
        }
    }
}

impl Column {
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls[row])
    }

    /// # Panics
    /// If it is no column of texts: the schema tells.
    #[inline]
    pub fn text(&self) -> &Text {
        match &self.values {
            Values::Text(text) => text,
            _ => unreachable!("a column of texts"),
        }
    }

    /// The int in a row.
    ///
    /// # Panics
    /// If it is no column of ints: the schema tells.
    #[inline]
    pub fn int(&self, row: usize) -> i64 {
        match &self.values {
            Values::Int(ints) => ints[row],
            Values::Same(int) => *int,
            _ => unreachable!("a column of ints"),
        }
    }

    /// An empty column that is stored alike, with data of its own.
    pub fn empty_like(&self) -> Column {
        match &self.values {
            Values::Text(_) => Values::Text(Text::default()),
            Values::Int(_) | Values::Same(_) => Values::Int(Vec::new()),
            Values::Float(_) => Values::Float(Vec::new()),
            Values::Bool(_) => Values::Bool(Vec::new()),
        }
        .into()
    }

    /// The rows of these numbers, in their order; texts stay where they are.
    pub fn gather(&self, rows: &[u32]) -> Column {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize]).collect()
        }
        Column {
            values: match &self.values {
                Values::Text(text) => Values::Text(Text {
                    data: Arc::clone(&text.data),
                    spans: pick(&text.spans, rows),
                }),
                Values::Int(ints) => Values::Int(pick(ints, rows)),
                Values::Float(floats) => Values::Float(pick(floats, rows)),
                Values::Bool(bools) => Values::Bool(pick(bools, rows)),
                Values::Same(int) => Values::Same(*int),
            },
            nulls: self.nulls.as_ref().map(|nulls| pick(nulls, rows)),
        }
    }

    /// The rows of these numbers, and None for None; texts stay where they are.
    pub fn gather_some(&self, rows: &[Option<u32>]) -> Column {
        fn pick<T: Copy + Default>(values: &[T], rows: &[Option<u32>]) -> Vec<T> {
            let value = |row: &Option<u32>| row.map_or_else(T::default, |row| values[row as usize]);
            rows.iter().map(value).collect()
        }
        if rows.iter().all(Option::is_some) {
            return self.gather(&rows.iter().flatten().copied().collect::<Vec<_>>());
        }
        let null = |row: &Option<u32>| row.is_none_or(|row| self.is_null(row as usize));
        Column {
            values: match &self.values {
                Values::Text(text) => Values::Text(Text {
                    data: Arc::clone(&text.data),
                    spans: pick(&text.spans, rows),
                }),
                Values::Int(ints) => Values::Int(pick(ints, rows)),
                Values::Float(floats) => Values::Float(pick(floats, rows)),
                Values::Bool(bools) => Values::Bool(pick(bools, rows)),
                Values::Same(int) => Values::Same(*int),
            },
            nulls: Some(rows.iter().map(null).collect()),
        }
    }

    /// Appends one row, `row` of a column that is stored alike; `len` rows are there already.
    pub fn push_from(&mut self, len: usize, from: &Column, row: usize) {
        let null = from.is_null(row);
        match (&mut self.values, &from.values) {
            (Values::Text(text), Values::Text(other)) => {
                text.push(if null { b"" } else { other.get(row) });
            }
            (Values::Int(ints), _) => ints.push(from.int(row)),
            (Values::Float(floats), Values::Float(other)) => floats.push(other[row]),
            (Values::Bool(bools), Values::Bool(other)) => bools.push(other[row]),
            _ => unreachable!("columns of one schema"),
        }
        self.note_null(len, null);
    }

    /// Appends rows of a column that is stored alike; `len` rows are there already.
    pub fn extend(&mut self, len: usize, from: &Column, rows: Range<usize>) {
        match (&mut self.values, &from.values) {
            (Values::Int(ints), Values::Int(other)) => ints.extend_from_slice(&other[rows.clone()]),
            (Values::Float(floats), Values::Float(other)) => {
                floats.extend_from_slice(&other[rows.clone()]);
            }
            (Values::Text(text), Values::Text(other)) => {
                let data = Arc::make_mut(&mut text.data);
                for span in &other.spans[rows.clone()] {
                    text.spans.push(Span::new(data.len(), span.len as usize));
                    data.extend_from_slice(span.of(&other.data));
                }
            }
            _ => {
                for (i, row) in rows.enumerate() {
                    self.push_from(len + i, from, row);
                }
                return;
            }
        }
        self.extend_nulls(len, from, rows);
    }

    pub fn extend_nulls(&mut self, len: usize, from: &Column, rows: Range<usize>) {
        if self.nulls.is_some() || from.nulls.is_some() {
            for (i, row) in rows.enumerate() {
                self.note_null(len + i, from.is_null(row));
            }
        }
    }

    /// Takes out all rows but keeps the memory; false where others hold on to it.
    pub fn clear(&mut self) -> bool {
        self.nulls = None;
        match &mut self.values {
            Values::Text(text) => {
                text.spans.clear();
                match Arc::get_mut(&mut text.data) {
                    Some(data) => data.clear(),
                    None => return false,
                }
            }
            Values::Int(ints) => ints.clear(),
            Values::Float(floats) => floats.clear(),
            Values::Bool(bools) => bools.clear(),
            Values::Same(_) => return false,
        }
        true
    }

    /// Says whether row `len`, just appended, is None.
    pub fn note_null(&mut self, len: usize, null: bool) {
        match &mut self.nulls {
            Some(nulls) => nulls.push(null),
            None if null => {
                let mut nulls = vec![false; len];
                nulls.push(true);
                self.nulls = Some(nulls);
            }
            None => {}
        }
    }
}

/// Records as columns.
#[derive(Clone, Debug)]
pub struct Batch {
    pub rows: usize,
    pub columns: Vec<Column>,
    pub origin: Option<Origin>,
}

/// What a batch was made of.
#[derive(Clone, Debug)]
pub enum Origin {
    Block(Lines),
    /// Rows of a table, the first of them number `first` of the file: all that follow it, or some.
    Rows {
        first: u64,
        picked: Option<Vec<u32>>,
    },
}

/// Lines of a block of input.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Texts may still stand in it.
    pub data: Arc<Vec<u8>>,
    /// The position in the file of its first byte.
    pub base: u64,
    /// Where it stands that the rows are all lines of this range, in order, and nothing else.
    pub lines: Option<Range<usize>>,
    /// Where in the data the line of each row begins, if that is known.
    pub starts: Option<Vec<u32>>,
}

impl Batch {
    /// The rows of these numbers, in their order.
    pub fn gather(&self, rows: &[u32]) -> Batch {
        Batch {
            rows: rows.len(),
            columns: self.columns.iter().map(|c| c.gather(rows)).collect(),
            origin: self.origin.as_ref().map(|origin| origin.gather(rows)),
        }
    }

    /// How long all texts are that it holds.
    pub fn text_bytes(&self) -> usize {
        let bytes = |column: &Column| match &column.values {
            Values::Text(text) => text.spans.iter().map(|span| span.len as usize).sum(),
            _ => 0,
        };
        self.columns.iter().map(bytes).sum()
    }

    /// Appends rows of a batch that is stored alike.
    pub fn extend(&mut self, from: &Batch, rows: Range<usize>) {
        for (column, from) in self.columns.iter_mut().zip(&from.columns) {
            column.extend(self.rows, from, rows.clone());
        }
        self.rows += rows.len();
    }

    /// The position in the input file of a row, as exactly as is known.
    pub fn position(&self, row: usize) -> Option<u64> {
        let Lines {
            data, base, starts, ..
        } = match self.origin.as_ref()? {
            Origin::Block(lines) => lines,
            Origin::Rows { first, picked } => {
                let row = match picked {
                    None => row as u64,
                    Some(picked) => picked.get(row).copied().unwrap_or(0).into(),
                };
                return Some(first + row);
            }
        };
        if let Some(starts) = starts {
            return Some(base + u64::from(starts[row]));
        }
        let within = self.columns.iter().find_map(|column| match &column.values {
            Values::Text(text) if Arc::ptr_eq(&text.data, data) => Some(text.spans[row].start),
            _ => None,
        });
        Some(base + u64::from(within.unwrap_or(0)))
    }
}

impl Origin {
    /// For a batch of other rows than all lines.
    pub fn partly(&self) -> Origin {
        match self {
            Origin::Block(Lines { data, base, .. }) => Origin::Block(Lines {
                data: Arc::clone(data),
                base: *base,
                lines: None,
                starts: None,
            }),
            Origin::Rows { first, .. } => Origin::Rows {
                first: *first,
                picked: Some(Vec::new()),
            },
        }
    }

    /// For the rows of these numbers.
    pub fn gather(&self, rows: &[u32]) -> Origin {
        let (first, picked) = match self {
            Origin::Rows { first, picked } => (first, picked),
            Origin::Block(Lines {
                data, base, starts, ..
            }) => {
                let starts = starts.as_ref();
                return Origin::Block(Lines {
                    data: Arc::clone(data),
                    base: *base,
                    lines: None,
                    starts: starts.map(|all| rows.iter().map(|&row| all[row as usize]).collect()),
                });
            }
        };
        let row = |&row: &u32| match picked {
            None => row,
            Some(picked) => picked.get(row as usize).copied().unwrap_or(0),
        };
        Origin::Rows {
            first: *first,
            picked: Some(rows.iter().map(row).collect()),
        }
    }

    /// For a batch of the same rows, with other fields or texts.
    pub fn without_lines(self) -> Origin {
        match self {
            Origin::Block(block) => Origin::Block(Lines {
                lines: None,
                ..block
            }),
            rows => rows,
        }
    }
}
