//! What a task writes of one table: lines, or columns for Arrow.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::bundle::{Bundle, Frame};
use crate::codec::Codec;
use crate::columns::column::Batch;
use crate::columns::encode::Encoder;
use crate::columns::rows;
use crate::compress::{Frames, unknown_codec};
use crate::ipc::buffers::Packing;
use crate::ipc::layout::{LARGEST_FRAME, Layout};
use crate::ipc::pack::Packer;
use crate::ipc::rows::Rows;
use crate::order::Order;
use crate::output::BatchFailure;

/// So many rows of columns are encoded at a time.
const PART: usize = 8192;

pub enum Written {
    /// `encoder` writes rows of columns, where that needs no Python.
    Lines {
        bundle: Bundle<Vec<u8>>,
        encoder: Option<Encoder>,
    },
    /// `zones` tells for each field which datetimes there were.
    Rows {
        bundle: Bundle<Rows>,
        layout: Arc<Layout>,
        zones: Vec<u8>,
    },
}

/// How large frames get, and all buffers together.
pub struct Limits {
    pub frame_bytes: usize,
    pub budget: usize,
}

impl Written {
    pub fn new(
        codec: &Codec,
        path: PathBuf,
        (compression, level): (&str, i32),
        limits: Limits,
    ) -> PyResult<Self> {
        let Limits {
            frame_bytes,
            budget,
        } = limits;
        if !codec.is_arrow() {
            let frames = Frames::new(compression, level)?;
            return Ok(Written::Lines {
                bundle: Bundle::new(path, frames, Vec::new(), frame_bytes, budget),
                encoder: codec.encoder(),
            });
        }
        if frame_bytes > LARGEST_FRAME {
            let why =
                format!("expected frames of {LARGEST_FRAME} bytes at most, got {frame_bytes}");
            return Err(PyValueError::new_err(why));
        }
        let packing = Packing::new(compression, level)?;
        let packer = Packer::new(packing.ok_or_else(|| unknown_codec(compression))?);
        let layout = Arc::new(Layout::new(&codec.shape));
        let empty = Rows::new(Arc::clone(&layout));
        Ok(Written::Rows {
            bundle: Bundle::new(path, packer, empty, frame_bytes, budget),
            layout,
            zones: vec![0; codec.shape.width()],
        })
    }

    /// Whether rows of columns are written without Python.
    pub fn is_native(&self) -> bool {
        match self {
            Written::Lines { encoder, .. } => encoder.is_some(),
            Written::Rows { .. } => true,
        }
    }

    /// The system's code for the failure that broke the bundle.
    pub fn broken(&self) -> Option<i32> {
        match self {
            Written::Lines { bundle, .. } => bundle.broken,
            Written::Rows { bundle, .. } => bundle.broken,
        }
    }

    /// Adds a record whose shape has been checked. If that fails, nothing is added.
    pub fn push(&mut self, shard: u32, codec: &Codec, record: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Written::Lines { bundle, .. } => bundle.push(shard, |lines| {
                codec.encode(record, lines)?;
                lines.push(b'\n');
                Ok(())
            }),
            Written::Rows { bundle, zones, .. } => {
                bundle.push(shard, |rows| rows.push(&codec.shape, record, zones))
            }
        }
    }

    /// Adds the rows of a batch to these shards, one for each.
    pub fn push_batch(
        &mut self,
        py: Python<'_>,
        shards: &[u32],
        order: &mut Order,
        codec: &Codec,
        batch: &Batch,
    ) -> Result<(), BatchFailure> {
        match self {
            Written::Lines {
                bundle,
                encoder: Some(encoder),
            } => py.detach(|| {
                // Shard by shard, so that one buffer after the other is near; and a part of the rows
                // at a time, so that all of them are.
                for (number, part) in shards.chunks(PART).enumerate() {
                    let first = number * PART;
                    let pushed = order.each(part, |shard, rows| {
                        bundle.push_rows(shard, rows, |row, lines| {
                            encoder.write(batch, first + row as usize, lines)?;
                            lines.push(b'\n');
                            Ok(())
                        })
                    });
                    pushed.map_err(|(row, error)| BatchFailure {
                        error,
                        row: row.map(|row| first + row as usize),
                    })?;
                }
                Ok(())
            }),
            Written::Lines { .. } => {
                for (row, &shard) in shards.iter().enumerate() {
                    let record = rows::record(py, &codec.shape, &batch.columns, row)?;
                    let pushed = self.push(shard, codec, &record);
                    pushed.map_err(|error| BatchFailure {
                        error,
                        row: Some(row),
                    })?;
                }
                Ok(())
            }
            Written::Rows {
                bundle,
                layout,
                zones,
            } => {
                let columns = layout.stored(py, &codec.shape, batch, zones)?;
                let push =
                    || order.each(shards, |at, rows| bundle.push_columns(at, &columns, rows));
                Ok(py.detach(push)?)
            }
        }
    }

    /// No more records for the shard: its buffer is written out and freed.
    pub fn close(&mut self, shard: u32) -> io::Result<()> {
        match self {
            Written::Lines { bundle, .. } => bundle.close(shard),
            Written::Rows { bundle, .. } => bundle.close(shard),
        }
    }

    /// Writes out everything. Returns the frames, and for each field of columns which datetimes there
    /// were.
    pub fn finish(&mut self) -> io::Result<(Vec<Frame>, &[u8])> {
        match self {
            Written::Lines { bundle, .. } => Ok((bundle.finish()?, &[])),
            Written::Rows { bundle, zones, .. } => Ok((bundle.finish()?, zones)),
        }
    }
}
