//! `labels`, `label/{name}/values`, `series`, and the older forms of the first two.

use std::collections::BTreeSet;

use super::{ApiResponse, Call, params, selector};
use crate::QueryError;
use crate::metadata::widen;
use crate::response::json::{comma, write_string_array, write_string_map};
use crate::response::legacy;

impl Call<'_> {
    pub(super) async fn labels(&self) -> Result<ApiResponse, QueryError> {
        Ok(ApiResponse::json(write_data(&self.find_label_names().await?)))
    }

    pub(super) async fn label_values(&self, name: &str) -> Result<ApiResponse, QueryError> {
        Ok(ApiResponse::json(write_data(&self.find_label_values(name).await?)))
    }

    pub(super) async fn legacy_labels(&self) -> Result<ApiResponse, QueryError> {
        Ok(ApiResponse::json(legacy::write_values(&self.find_label_names().await?)))
    }

    pub(super) async fn legacy_label_values(&self, name: &str) -> Result<ApiResponse, QueryError> {
        Ok(ApiResponse::json(legacy::write_values(&self.find_label_values(name).await?)))
    }

    pub(super) async fn series(&self) -> Result<ApiResponse, QueryError> {
        let range = params::bounds(&self.form, self.shared.env.now())?;
        let groups = selector::groups(self.form.all("match").chain(self.form.all("match[]")))?;
        let series = self.scope(widen(range)).series(&groups).await?;
        let mut body = br#"{"status":"success","data":["#.to_vec();
        for (i, labels) in series.iter().enumerate() {
            comma(&mut body, i);
            write_string_map(&mut body, labels.iter());
        }
        body.extend_from_slice(b"]}\n");
        Ok(ApiResponse::json(body))
    }

    async fn find_label_names(&self) -> Result<BTreeSet<String>, QueryError> {
        let range = params::bounds(&self.form, self.shared.env.now())?;
        let matchers = selector::optional(self.form.get("query"))?;
        self.scope(widen(range)).label_names(&matchers).await
    }

    async fn find_label_values(&self, name: &str) -> Result<BTreeSet<String>, QueryError> {
        let range = params::bounds(&self.form, self.shared.env.now())?;
        let matchers = selector::optional(self.form.get("query"))?;
        self.scope(widen(range)).label_values(name, &matchers).await
    }
}

/// `{"status":"success","data":["a","b"]}`; the member is left out when there are none.
fn write_data(texts: &BTreeSet<String>) -> Vec<u8> {
    let mut body = br#"{"status":"success""#.to_vec();
    if !texts.is_empty() {
        body.extend_from_slice(br#","data":"#);
        write_string_array(&mut body, texts.iter().map(String::as_str));
    }
    body.extend_from_slice(b"}\n");
    body
}
