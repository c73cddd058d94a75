//! `index/stats`, `index/volume`, `index/volume_range` and `detected_labels`.

use schema::{Matcher, TimeRange};
use serde::Serialize;

use super::params::{self, RangeParameters};
use super::{ApiResponse, Call, selector};
use crate::QueryError;
use crate::metadata::volume::{AggregateBy, VolumeSpec};
use crate::metadata::widen;
use crate::response::volume::write_volumes;

const DEFAULT_VOLUME_LIMIT: usize = 100;

/// `index/stats`, in Loki's order of members, as every body here.
#[derive(Debug, Serialize)]
struct StatsBody {
    streams: usize,
    chunks: usize,
    bytes: u64,
    entries: u64,
}

#[derive(Debug, Serialize)]
struct DetectedLabelsBody {
    #[serde(rename = "detectedLabels")]
    detected_labels: Vec<DetectedLabel>,
}

#[derive(Debug, Serialize)]
struct DetectedLabel {
    label: String,
    cardinality: usize,
}

impl Call<'_> {
    pub(super) async fn index_stats(&self) -> Result<ApiResponse, QueryError> {
        let parameters = RangeParameters::parse(&self.form, self.shared.env.now(), self.limits)?;
        let matchers = selector::required(&parameters.query)?;
        let stats = self.scope(parameters.range).index_stats(&matchers).await?;
        ApiResponse::of(&StatsBody { streams: stats.streams, chunks: stats.chunks, bytes: stats.amount.bytes, entries: stats.amount.rows })
    }

    pub(super) async fn volume(&self) -> Result<ApiResponse, QueryError> {
        let limit = self.volume_limit()?;
        let range = params::ordered_bounds(&self.form, self.shared.env.now())?;
        self.write_volume(limit, range, None).await
    }

    pub(super) async fn volume_range(&self) -> Result<ApiResponse, QueryError> {
        let limit = self.volume_limit()?;
        let range = params::ordered_bounds(&self.form, self.shared.env.now())?;
        let step = params::step(&self.form, &range, self.limits)?;
        self.write_volume(limit, range, Some(step)).await
    }

    pub(super) async fn detected_labels(&self) -> Result<ApiResponse, QueryError> {
        let range = params::bounds(&self.form, self.shared.env.now())?;
        let matchers = self.matchers_or_all()?;
        let labels = self.scope(widen(range)).detected_labels(&matchers).await?;
        let detected_labels = labels.into_iter().map(|(label, cardinality)| DetectedLabel { label, cardinality }).collect();
        ApiResponse::of(&DetectedLabelsBody { detected_labels })
    }

    async fn write_volume(&self, limit: usize, range: TimeRange, step: Option<i64>) -> Result<ApiResponse, QueryError> {
        let aggregate_by = self.aggregate_by()?;
        let target_labels = self.form.get("targetLabels").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut spec = VolumeSpec { matchers: self.matchers_or_all()?, target_labels, aggregate_by, limit };
        spec.require_targets()?;
        let volumes = self.scope(range).volume(&spec, step).await?;
        Ok(ApiResponse::json(write_volumes(&volumes)))
    }

    /// 0 is the same as no limit given. Errors: the tenant has no volumes.
    fn volume_limit(&self) -> Result<usize, QueryError> {
        if !self.limits.volume_enabled {
            return Err(QueryError::SwitchedOff { limit: "volume_enabled" });
        }
        match params::integer(self.form.get("limit"))? {
            None | Some(0) => Ok(DEFAULT_VOLUME_LIMIT.min(self.limits.volume_max_series)),
            Some(limit) => {
                let limit = usize::try_from(limit).map_err(|_| QueryError::Parameter { message: "limit must be a positive value".to_owned() })?;
                Ok(limit.min(self.limits.volume_max_series))
            }
        }
    }

    fn aggregate_by(&self) -> Result<AggregateBy, QueryError> {
        match self.form.get("aggregateBy") {
            "" | "series" => Ok(AggregateBy::Series),
            "labels" => Ok(AggregateBy::Labels),
            _ => Err(QueryError::Parameter { message: "invalid aggregation option".to_owned() }),
        }
    }

    /// Here `{}` and no selector at all mean every stream.
    fn matchers_or_all(&self) -> Result<Vec<Matcher>, QueryError> {
        match self.form.get("query").trim() {
            "" | "{}" => Ok(Vec::new()),
            text => selector::required(text),
        }
    }
}
