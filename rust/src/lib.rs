//! The native core of Gaia, imported as `gaia._core`: the loops that run once per record or per
//! byte. Naming, stores, scheduling and policy are Python's; nothing here runs once per file.

mod bundle;
mod cell;
mod checksum;
mod codec;
mod columns;
mod compress;
mod consumer;
mod context;
mod csv;
mod csv_field;
mod cuts;
mod escape;
mod feed;
mod frames;
mod grouping;
mod groups;
mod ipc;
mod joint;
mod joints;
mod json;
mod lines;
mod names;
mod ops;
mod order;
mod output;
mod partition;
mod process;
mod profile;
mod progress;
mod quote;
mod record;
mod sharding;
mod spill;
mod state;
mod swap;
mod text;
mod unzstd;
mod value;
mod written;

use pyo3::prelude::*;

// Shared state is guarded by the GIL (see `cell`), so the module asks for it to be kept.
#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    use crate::ipc::message::END;

    #[pymodule_export]
    use crate::bundle::concat;
    #[pymodule_export]
    use crate::checksum::{checksum, checksum_of};
    #[pymodule_export]
    use crate::codec::Codec;
    #[pymodule_export]
    use crate::columns::batch::{PyBatch, PyColumn};
    #[pymodule_export]
    use crate::compress::compress;
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::csv::csv_header;
    #[pymodule_export]
    use crate::cuts::csv_cuts;
    #[pymodule_export]
    use crate::feed::{RecordReader, feed_batches, feed_lines, feed_positioned, feed_records};
    #[pymodule_export]
    use crate::frames::frame_starts;
    #[pymodule_export]
    use crate::ipc::batches::{BatchRecords, Batches};
    #[pymodule_export]
    use crate::ipc::check::check_arrow;
    #[pymodule_export]
    use crate::ipc::layout::arrow_head;
    #[pymodule_export]
    use crate::ipc::stream::arrow_blocks;
    #[pymodule_export]
    use crate::joint::Joint;
    #[pymodule_export]
    use crate::lines::Lines;
    #[pymodule_export]
    use crate::ops::Op;
    #[pymodule_export]
    use crate::output::Output;
    #[pymodule_export]
    use crate::partition::shard_of;
    #[pymodule_export]
    use crate::process::die_with_parent;
    #[pymodule_export]
    use crate::profile::Sampler;
    #[pymodule_export]
    use crate::progress::{begin_reading, has_read, read_up_to, tell_progress};
    #[pymodule_export]
    use crate::state::TaskState;
    #[pymodule_export]
    use crate::swap::swap;
    #[pymodule_export]
    use crate::unzstd::Unzstd;

    /// What a stream of Arrow messages ends with.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ARROW_END", PyBytes::new(module.py(), &END))
    }
}
