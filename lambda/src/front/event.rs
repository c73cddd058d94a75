//! The events of HTTP front ends, of which only what is needed is read.
//! Source: AWS' guides to Function URLs, API Gateway (payload formats 1.0 and 2.0) and Application Load Balancers with Lambda targets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Which front end sent the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    /// Function URL: payload format 2.0.
    FunctionUrl,
    /// API Gateway's HTTP API: payload format 2.0.
    HttpApi,
    /// API Gateway's REST API, or its HTTP API with payload format 1.0.
    RestApi,
    /// Application Load Balancer.
    LoadBalancer {
        /// Whether the target group has `lambda.multi_value_headers.enabled`; then the answer must have multi-value headers too.
        multi_value: bool,
    },
}

impl FrontEnd {
    /// The front end of `event`; `None` if it is no HTTP request.
    pub(crate) fn of(event: &Value) -> Option<Self> {
        let context = event.get("requestContext")?;
        if context.get("elb").is_some() {
            return Some(Self::LoadBalancer { multi_value: event.get("multiValueHeaders").is_some_and(Value::is_object) });
        }
        if context.get("http").is_some_and(Value::is_object) && event.get("version").and_then(Value::as_str) == Some("2.0") {
            let domain = context.get("domainName").and_then(Value::as_str).unwrap_or_default();
            return Some(if domain.contains(".lambda-url.") { Self::FunctionUrl } else { Self::HttpApi });
        }
        let has_method = event.get("httpMethod").is_some_and(Value::is_string);
        (has_method && (event.get("resource").is_some() || context.get("stage").is_some())).then_some(Self::RestApi)
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FunctionUrl => "Function URL",
            Self::HttpApi => "API Gateway HTTP API",
            Self::RestApi => "API Gateway REST API",
            Self::LoadBalancer { .. } => "load balancer",
        }
    }
}

/// A request in any of the forms.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpEvent {
    /// Formats 1.0 and load balancer.
    pub(super) http_method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) query_string_parameters: Option<BTreeMap<String, Option<String>>>,
    pub(super) multi_value_query_string_parameters: Option<BTreeMap<String, Option<Vec<String>>>>,
    pub(super) multi_value_headers: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// Format 2.0.
    pub(super) raw_path: Option<String>,
    pub(super) raw_query_string: Option<String>,
    pub(super) cookies: Option<Vec<String>>,
    /// All.
    pub(super) headers: Option<BTreeMap<String, Option<String>>>,
    pub(super) request_context: RequestContext,
    pub(super) body: Option<String>,
    pub(super) is_base64_encoded: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestContext {
    pub(super) http: Option<Http>,
    pub(super) stage: Option<String>,
    /// Format 1.0: the path with the stage.
    pub(super) path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Http {
    pub(super) method: Option<String>,
}
