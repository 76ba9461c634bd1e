//! Batches of records as arrays, from the header and the body of their message. What stands there may
//! be damaged, so nothing of it is believed. No Python here.

use std::collections::HashMap;
use std::iter::repeat_n;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_data::{ArrayData, BufferSpec, layout};
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::{
    BodyCompressionMethod, CompressionType, DictionaryBatch, Endianness, FieldNode,
    MetadataVersion, RecordBatch,
};
use arrow_schema::{DataType, Field, Schema, UnionMode};

use crate::ipc::buffers::unpack;
use crate::ipc::types::is_known;

/// What the buffers of a batch, or of a dictionary, may take when they are decompressed: a column of
/// texts takes no more anyway.
const LARGEST_BATCH: usize = 4 << 30;

/// The columns of all batches, and the dictionaries that some have values in.
pub struct Decoder {
    pub schema: Schema,
    /// The dictionary of each column that has one.
    ids: Vec<Option<i64>>,
    dictionaries: HashMap<i64, ArrayData>,
}

impl Decoder {
    pub fn new(header: arrow_ipc::Schema<'_>) -> Result<Self, String> {
        if header.endianness() != Endianness::Little {
            return Err("numbers whose first byte is the highest".to_owned());
        }
        let fields = header.fields().ok_or("a schema without fields")?;
        let ids = fields
            .iter()
            .map(|field| field.dictionary().map(|dictionary| dictionary.id()));
        if let Some(field) = fields.iter().find(|&field| !is_known(field)) {
            let name = field.name().unwrap_or_default();
            return Err(format!("column {name:?} is of an unknown type"));
        }
        Ok(Self {
            ids: ids.collect(),
            schema: fb_to_schema(header),
            dictionaries: HashMap::new(),
        })
    }

    /// Keeps a dictionary, if a column has values in it.
    pub fn learn(
        &mut self,
        header: DictionaryBatch<'_>,
        version: MetadataVersion,
        body: &Buffer,
    ) -> Result<(), String> {
        let id = header.id();
        let Some(column) = self.ids.iter().position(|&known| known == Some(id)) else {
            return Ok(());
        };
        let DataType::Dictionary(_, values) = self.schema.field(column).data_type() else {
            return Err("a dictionary for a column that has none".to_owned());
        };
        let field = Field::new("", values.as_ref().clone(), true);
        let batch = header.data().ok_or("a dictionary without values")?;
        let mut parts = Parts::new(batch, version, body)?;
        let values = parts.array(&field, None)?;
        let values = match self.dictionaries.get(&id) {
            Some(known) if header.isDelta() => joined(known, &values)?,
            _ => values,
        };
        self.dictionaries.insert(id, values);
        Ok(())
    }

    /// Some columns of a batch, and how many rows it has.
    pub fn batch(
        &self,
        header: RecordBatch<'_>,
        version: MetadataVersion,
        body: &Buffer,
        wanted: &[usize],
    ) -> Result<(usize, Vec<ArrayData>), String> {
        let mut parts = Parts::new(header, version, body)?;
        let mut found = vec![None; wanted.len()];
        for (i, field) in self.schema.fields().iter().enumerate() {
            let place = wanted.iter().position(|&column| column == i);
            match place {
                None => parts.skip(field.data_type())?,
                Some(place) => {
                    let dictionary = self.ids[i].and_then(|id| self.dictionaries.get(&id));
                    let array = parts.array(field, dictionary);
                    let name = field.name();
                    found[place] = Some(array.map_err(|why| format!("column {name:?}: {why}"))?);
                }
            }
        }
        let found: Option<_> = found.into_iter().collect();
        Ok((parts.rows, found.ok_or("a column is not there")?))
    }
}

fn joined(first: &ArrayData, second: &ArrayData) -> Result<ArrayData, String> {
    let mut both = MutableArrayData::new(vec![first, second], false, first.len() + second.len());
    for (i, part) in [first, second].into_iter().enumerate() {
        let added = both.try_extend(i, 0, part.len());
        added.map_err(|error| error.to_string())?;
    }
    Ok(both.freeze())
}

/// What is left of a batch's nodes and buffers, which stand there column by column.
struct Parts<'a> {
    rows: usize,
    nodes: Box<dyn Iterator<Item = &'a FieldNode> + 'a>,
    buffers: Box<dyn Iterator<Item = &'a arrow_ipc::Buffer> + 'a>,
    /// How many buffers of text the columns of views have.
    views: Box<dyn Iterator<Item = i64> + 'a>,
    version: MetadataVersion,
    compression: Option<CompressionType>,
    /// How much more may be decompressed.
    room: usize,
    body: &'a Buffer,
}

impl<'a> Parts<'a> {
    fn new(
        header: RecordBatch<'a>,
        version: MetadataVersion,
        body: &'a Buffer,
    ) -> Result<Self, String> {
        let compression = header.compression();
        if compression.is_some_and(|how| how.method() != BodyCompressionMethod::BUFFER) {
            return Err("a body that is compressed otherwise than by buffers".to_owned());
        }
        Ok(Self {
            rows: rows(header)?,
            nodes: Box::new(header.nodes().into_iter().flatten()),
            buffers: Box::new(header.buffers().into_iter().flatten()),
            views: Box::new(header.variadicBufferCounts().into_iter().flatten()),
            version,
            compression: compression.map(|how| how.codec()),
            room: LARGEST_BATCH,
            body,
        })
    }

    fn node(&mut self) -> Result<&'a FieldNode, String> {
        self.nodes
            .next()
            .ok_or("there is no node for it".to_owned())
    }

    fn range(&mut self) -> Result<&'a arrow_ipc::Buffer, String> {
        let buffer = self.buffers.next();
        buffer.ok_or("there is no buffer for it".to_owned())
    }

    fn views(&mut self) -> Result<usize, String> {
        let count = self.views.next().and_then(|count| count.try_into().ok());
        count.ok_or("there is no number of buffers for it".to_owned())
    }

    fn buffer(&mut self) -> Result<Buffer, String> {
        let range = self.range()?;
        let (start, length) = (range.offset(), range.length());
        let within = usize::try_from(start)
            .ok()
            .zip(usize::try_from(length).ok())
            .filter(|&(start, length)| {
                let end = start.checked_add(length);
                end.is_some_and(|end| end <= self.body.len())
            });
        let Some((start, length)) = within else {
            let size = self.body.len();
            return Err(format!(
                "expected a buffer in the {size} bytes of the body, got {length} bytes at {start}"
            ));
        };
        let buffer = self.body.slice_with_length(start, length);
        match self.compression {
            None => Ok(buffer),
            Some(codec) => {
                let raw = unpack(codec, &buffer, self.room)?;
                self.room = self.room.saturating_sub(raw.len());
                Ok(raw)
            }
        }
    }

    /// The column of a field that has no children.
    fn array(
        &mut self,
        field: &Field,
        dictionary: Option<&ArrayData>,
    ) -> Result<ArrayData, String> {
        let data_type = field.data_type();
        let node = self.node()?;
        let rows = self.rows;
        if node.length() != rows as i64 {
            return Err(format!("expected {rows} rows, got {}", node.length()));
        }
        if *data_type == DataType::Null {
            return Ok(ArrayData::new_null(data_type, rows));
        }
        let sizes = sizes(data_type, rows).ok_or_else(|| format!("cannot read {data_type}"))?;
        let views = match layout(data_type).variadic {
            true => self.views()?,
            false => 0,
        };
        let nulls = self.buffer()?;
        let nulls = (node.null_count() != 0 && !nulls.is_empty()).then_some(nulls);
        if let Some(nulls) = &nulls
            && nulls.len() < rows.div_ceil(8)
        {
            return Err(format!("{} bytes of nulls for {rows} rows", nulls.len()));
        }
        let nulls = nulls.map(|nulls| NullBuffer::new(BooleanBuffer::new(nulls, 0, rows)));
        let mut array = ArrayData::builder(data_type.clone())
            .len(rows)
            .nulls(nulls)
            .align_buffers(true);
        for size in sizes.into_iter().chain(repeat_n(None, views)) {
            let buffer = self.buffer()?;
            array = array.add_buffer(match size {
                // An array without rows may have no offset either.
                Some(size) if rows > 0 && buffer.len() < size => {
                    let got = buffer.len();
                    return Err(format!("expected {size} bytes for {rows} rows, got {got}"));
                }
                Some(size) if buffer.len() >= size => buffer.slice_with_length(0, size),
                Some(_) => Buffer::default(),
                None => buffer,
            });
        }
        if let DataType::Dictionary(_, values) = data_type {
            // Where all rows are null, there need be no dictionary.
            let none = || ArrayData::new_empty(values);
            array = array.add_child_data(dictionary.cloned().unwrap_or_else(none));
        }
        array.build().map_err(|error| error.to_string())
    }

    fn skip(&mut self, data_type: &DataType) -> Result<(), String> {
        self.node()?;
        let (buffers, children): (usize, Vec<&Field>) = match data_type {
            DataType::Null => (0, vec![]),
            DataType::Utf8View | DataType::BinaryView => (2 + self.views()?, vec![]),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                (3, vec![])
            }
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
                (2, vec![item])
            }
            DataType::ListView(item) | DataType::LargeListView(item) => (3, vec![item]),
            DataType::FixedSizeList(item, _) => (1, vec![item]),
            DataType::Struct(fields) => (1, fields.iter().map(AsRef::as_ref).collect()),
            DataType::RunEndEncoded(ends, values) => (0, vec![ends, values]),
            DataType::Union(fields, mode) => (
                usize::from(*mode == UnionMode::Dense)
                    + 1
                    + usize::from(self.version < MetadataVersion::V5),
                fields.iter().map(|(_, field)| field.as_ref()).collect(),
            ),
            _ => (2, vec![]),
        };
        for _ in 0..buffers {
            self.range()?;
        }
        let mut children = children.into_iter();
        children.try_for_each(|child| self.skip(child.data_type()))
    }
}

/// How large the buffers besides that of the nulls are, where rows alone tell; None for a type that
/// has children.
fn sizes(data_type: &DataType, rows: usize) -> Option<Vec<Option<usize>>> {
    let flat = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
        DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(_, _) => true,
        DataType::Boolean | DataType::FixedSizeBinary(_) => true,
        other => other.is_primitive(),
    };
    let specs = layout(data_type).buffers;
    // Texts have one offset more than there are rows.
    let offsets = specs.len() > 1;
    let size = |spec: &BufferSpec| match spec {
        BufferSpec::FixedWidth { byte_width, .. } => {
            Some(byte_width * (rows + usize::from(offsets)))
        }
        BufferSpec::BitMap => Some(rows.div_ceil(8)),
        BufferSpec::VariableWidth | BufferSpec::AlwaysNull => None,
    };
    flat.then(|| specs.iter().map(size).collect())
}

/// How many rows a batch has.
pub fn rows(header: RecordBatch<'_>) -> Result<usize, String> {
    let rows = header.length();
    // Nobody writes more at once; sizes that are computed from it stay far from an overflow.
    match u32::try_from(rows) {
        Ok(rows) => Ok(rows as usize),
        Err(_) => Err(format!("a batch of {rows} rows")),
    }
}
