//! `patterns`.

use super::{ApiResponse, Call, params, selector};
use crate::QueryError;
use crate::engine::PatternsSpec;
use crate::response::patterns::write_patterns;

impl Call<'_> {
    /// Parameters are checked in Loki's order: bounds, their order, step, resolution, selector, length.
    pub(super) async fn patterns(&self) -> Result<ApiResponse, QueryError> {
        let range = params::ordered_bounds(&self.form, self.shared.env.now())?;
        let step = params::step(&self.form, &range, self.limits)?;
        let matchers = selector::required(self.form.get("query"))?;
        params::check_length(&range, self.limits)?;
        let (patterns, warnings) = self.engine.patterns(&PatternsSpec { tenants: self.tenants.clone(), matchers, range, step }).await?;
        Ok(ApiResponse::json(write_patterns(&patterns, &warnings)))
    }
}
