//! Encapsulated messages: a header in flatbuffers, with its length before it, and a body.
//! No Python here.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{
    BodyCompression, BodyCompressionArgs, Buffer, CompressionType, FieldNode, Message, MessageArgs,
    MessageHeader, MetadataVersion, RecordBatch, RecordBatchArgs,
};
use arrow_schema::Schema;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

/// What every message begins with; then comes the length of its header, in four bytes.
pub const CONTINUATION: [u8; 4] = [0xff; 4];
/// A message without a header ends a stream.
pub const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// Headers, bodies and the buffers in them begin at multiples of it.
pub const ALIGNMENT: usize = 8;

/// What the header of a batch's message takes at most, without its nodes and buffers.
pub const LARGEST_HEADER: usize = 256;

pub fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

/// The message of a schema.
pub fn schema(schema: &Schema) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let header = IpcSchemaEncoder::new().schema_to_fb_offset(&mut builder, schema);
    let mut out = Vec::new();
    let header = header.as_union_value();
    finish(builder, MessageHeader::Schema, header, 0, &mut out);
    out
}

/// Appends the message of a batch of records: how many they are, a node for every column, and where
/// its buffers stand in the body.
pub fn batch(
    rows: usize,
    nodes: &[FieldNode],
    buffers: &[Buffer],
    compression: Option<CompressionType>,
    body: &[u8],
    out: &mut Vec<u8>,
) {
    let mut builder = FlatBufferBuilder::new();
    let compression = compression.map(|codec| {
        let args = BodyCompressionArgs {
            codec,
            ..BodyCompressionArgs::default()
        };
        BodyCompression::create(&mut builder, &args)
    });
    let args = RecordBatchArgs {
        length: rows as i64,
        nodes: Some(builder.create_vector(nodes)),
        buffers: Some(builder.create_vector(buffers)),
        compression,
        variadicBufferCounts: None,
    };
    let header = RecordBatch::create(&mut builder, &args).as_union_value();
    finish(builder, MessageHeader::RecordBatch, header, body.len(), out);
    out.extend_from_slice(body);
}

fn finish(
    mut builder: FlatBufferBuilder<'_>,
    header_type: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body: usize,
    out: &mut Vec<u8>,
) {
    let args = MessageArgs {
        version: MetadataVersion::V5,
        header_type,
        header: Some(header),
        bodyLength: body as i64,
        custom_metadata: None,
    };
    let message = Message::create(&mut builder, &args);
    builder.finish(message, None);
    let header = builder.finished_data();
    let length = header.len().next_multiple_of(ALIGNMENT) as u32;
    out.extend_from_slice(&CONTINUATION);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(header);
    pad(out);
}
