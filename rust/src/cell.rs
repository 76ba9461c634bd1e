//! Interior mutability under the GIL.

use std::cell::{RefCell, RefMut};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// A `RefCell` that may stand in a Python object: every access shows that it holds the GIL.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: the borrow flag is only touched with the GIL held (`Python<'_>` is the proof, and the
// module is declared `gil_used`), so no two threads are ever inside `borrow_mut` at once; a guard
// that lives across a call into Python makes a second borrow an error, not a race.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// # Errors
    /// `RuntimeError` if user code called back into the object it is being called from.
    pub fn borrow_mut<'a>(&'a self, _py: Python<'a>) -> PyResult<RefMut<'a, T>> {
        self.0
            .try_borrow_mut()
            .map_err(|_| PyRuntimeError::new_err("this object is in use by a call further up"))
    }
}
