//! Whether computing takes time on the current thread. In a simulation it takes none: how long a machine needs must not decide who goes next.

use std::cell::Cell;

thread_local! {
    static STILL: Cell<bool> = const { Cell::new(false) };
}

/// Whether [`crate::env::Env::processor`] stands still on this thread.
pub(crate) fn is_still() -> bool {
    STILL.get()
}

/// Lets [`crate::env::Env::processor`] stand still on the current thread until the guard is dropped. For simulations.
pub fn stand_still() -> Still {
    STILL.set(true);
    Still(())
}

/// See [`stand_still`].
#[derive(Debug)]
pub struct Still(());

impl Drop for Still {
    fn drop(&mut self) {
        STILL.set(false);
    }
}
