//! Regular expressions that templates name, compiled once for many rows.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Most expressions kept for one thread; all are forgotten when another one comes.
const MAX_KEPT: usize = 32;
/// Largest compiled expression in bytes.
const MAX_SIZE: usize = 1 << 20;

thread_local! {
    static KEPT: RefCell<HashMap<String, regex::Regex>> = RefCell::new(HashMap::new());
    static COMPILED: Cell<usize> = const { Cell::new(0) };
}

/// `pattern`, which is RE2 syntax. Errors: it is not, or too large.
pub(super) fn regex_of(pattern: &str) -> Result<regex::Regex, String> {
    if let Some(kept) = KEPT.with_borrow(|kept| kept.get(pattern).cloned()) {
        return Ok(kept);
    }
    COMPILED.set(COMPILED.get().wrapping_add(1));
    let translated = crate::line_filter::translate_regex(pattern).map_err(|error| error.to_string())?;
    let regex = regex::RegexBuilder::new(&translated).size_limit(MAX_SIZE).build().map_err(|error| format!("error parsing regexp: {error}"))?;
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), regex.clone());
    });
    Ok(regex)
}

/// How many this thread has compiled so far.
pub(in crate::template) fn compiled() -> usize {
    COMPILED.get()
}
