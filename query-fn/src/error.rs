//! Why a query has no answer. The HTTP status of each kind is chosen here, once (spec/http-api.md section 0).

use http::StatusCode;

/// A query that cannot be answered. The texts are what a client reads; where Loki has the error they are Loki's.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not LogQL.
    #[error(transparent)]
    Parse(#[from] logql::ParseError),
    /// A stage, function or parameter that is valid LogQL but wrong in itself, such as a template that does not parse.
    #[error("{message}")]
    Invalid {
        /// The whole text for the client.
        message: String,
    },
    /// Valid LogQL that this version cannot run. Never answered with a guess.
    #[error("not supported by this version of Tarn: {what}")]
    Unsupported {
        /// The stage, function or form, as the query writes it.
        what: String,
    },
    /// A request parameter that cannot be read.
    #[error("{message}")]
    Parameter {
        /// The whole text for the client.
        message: String,
    },
    /// More than a limit allows.
    #[error("{message}")]
    Limit {
        /// Its name in the configuration.
        limit: &'static str,
        /// The whole text for the client.
        message: String,
    },
    /// A sample series carries `__error__`.
    #[error(
        "pipeline error: '{kind}' for series: '{series}'.\nUse a label filter to intentionally skip this error. (e.g | __error__!=\"{kind}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The value of `__error__`.
        kind: String,
        /// The labels of the first such series.
        series: String,
    },
    /// Series that cannot be paired up in a binary operation.
    #[error("{message}")]
    Matching {
        /// The whole text for the client.
        message: String,
    },
    /// As many queries run and wait as may.
    #[error("too many outstanding requests")]
    TooMany,
    /// What a limit has switched off for the tenant (Loki's text).
    #[error("not found")]
    SwitchedOff {
        /// The limit's name in the configuration.
        limit: &'static str,
    },
    /// The query ran longer than `query_timeout`.
    #[error(
        "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed"
    )]
    Timeout,
    /// The operators would hold more memory than a query may.
    #[error("the query needs more memory than max_query_memory_bytes allows; narrow the time range, add label matchers, or aggregate with sum() or topk()")]
    Memory {
        /// What DataFusion said.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// The object store failed.
    #[error("the object store failed: {source}")]
    Store {
        /// What failed.
        #[from]
        source: store::StoreError,
    },
    /// The engine failed in a way that no query should bring about.
    #[error("internal error: {source}")]
    Engine {
        /// What failed.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// A physical plan that cannot be written as bytes, or bytes that are no plan of this version.
    #[error("the plan cannot be shipped: {node}: {what}")]
    Codec {
        /// The operator.
        node: String,
        /// What is wrong with it.
        what: String,
    },
    /// A broken invariant of ours.
    #[error("internal error: {invariant}")]
    Internal {
        /// What should have held.
        invariant: String,
    },
}

impl QueryError {
    /// The status that an answer with this error has.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Parse(_) | Self::Invalid { .. } | Self::Unsupported { .. } | Self::Parameter { .. } | Self::Limit { .. } | Self::Pipeline { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::SwitchedOff { .. } => StatusCode::NOT_FOUND,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Memory { .. } => StatusCode::BAD_REQUEST,
            Self::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Matching { .. } | Self::Engine { .. } | Self::Codec { .. } | Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The limit that the query ran into, by its name in the configuration.
    pub const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Limit { limit, .. } | Self::SwitchedOff { limit } => Some(limit),
            Self::TooMany => Some("max_outstanding_per_tenant"),
            Self::Timeout => Some("query_timeout"),
            Self::Memory { .. } => Some("max_query_memory_bytes"),
            _ => None,
        }
    }

    /// An error of ours that travelled through DataFusion comes back as itself; DataFusion's own are told apart by kind.
    pub fn from_datafusion(error: datafusion::error::DataFusionError) -> Self {
        use datafusion::error::DataFusionError;
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::Engine { source: DataFusionError::External(other) },
            },
            DataFusionError::Context(_, inner) => Self::from_datafusion(*inner),
            source @ DataFusionError::ResourcesExhausted(_) => Self::Memory { source },
            source => Self::Engine { source },
        }
    }
}

impl From<QueryError> for datafusion::error::DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}
