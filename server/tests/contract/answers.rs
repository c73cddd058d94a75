//! Section 3: how answers to queries are written.

use super::*;

/// Without `stats` and in order; series by their labels, times as numbers, values as texts.
#[tokio::test]
async fn s03_matrix_and_vector_are_written_in_order() {
    let server = shop().await;
    let head = r#"{"status":"success","data":{"resultType":"matrix","encodingFlags":["categorize-labels"],"result":"#;
    let counts = range(&server, r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#).await;
    let values = |first: u32, second: u32| format!(r#"[[1700000040,"{first}"],[1700000100,"{second}"]]"#);
    // 1700000100 is the end, moved to a multiple of the step; its window begins after all lines.
    let series = |app: &str, count: u32| format!(r#"{{"metric":{{"app":"{app}"}},"values":[[1700000040,"{count}"]]}}"#);
    assert_eq!(counts.bare(), format!("{head}[{},{}]}}}}", series("api", 2), series("shop", 3)));
    let longer = range(&server, r#"sum(count_over_time({app=~".+"}[2m]))"#).await;
    assert_eq!(longer.bare(), format!(r#"{head}[{{"metric":{{}},"values":{}}}]}}}}"#, values(5, 5)));
    let vector = instant(&server, r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#).await;
    let sample = |app: &str, count: u32| format!(r#"{{"metric":{{"app":"{app}"}},"value":[1700000060,"{count}"]}}"#);
    let head = r#"{"status":"success","data":{"resultType":"vector","encodingFlags":["categorize-labels"],"result":"#;
    assert_eq!(vector.bare(), format!("{head}[{},{}]}}}}", sample("api", 2), sample("shop", 3)));
}

#[tokio::test]
async fn s03_values_are_texts_and_times_may_have_a_fraction() {
    let server = shop().await;
    let at = async |query: &str, time: &str| get(&server, "query", &[("query", query), ("time", time)]).await.result().to_owned();
    assert_eq!(at("vector(1) / vector(0)", "1700000060.25").await, r#"[{"metric":{},"value":[1700000060.25,"NaN"]}]"#);
    let unwrapped = r#"{app="api"} | json | unwrap status [1m]) by (app)"#;
    assert_eq!(at(&format!("quantile_over_time(2, {unwrapped}"), "1700000060").await, r#"[{"metric":{"app":"api"},"value":[1700000060,"+Inf"]}]"#);
    assert_eq!(at(&format!("-1 * quantile_over_time(2, {unwrapped}"), "1700000060").await, r#"[{"metric":{"app":"api"},"value":[1700000060,"-Inf"]}]"#);
    assert_eq!(at("vector(1e21) + vector(0)", "1700000060").await, r#"[{"metric":{},"value":[1700000060,"1e+21"]}]"#);
    assert_eq!(at("vector(0.1) + vector(0.2)", "1700000060").await, r#"[{"metric":{},"value":[1700000060,"0.30000000000000004"]}]"#);
}

#[tokio::test]
async fn s03_scalars_have_their_own_form() {
    let server = Server::start(&[]).await;
    let scalar = get(&server, "query", &[("query", "1 + 1"), ("time", "1700000060")]).await;
    let scalar = scalar.bare();
    // Loki writes the time of a scalar, and of nothing else, in milliseconds.
    assert_eq!(scalar, r#"{"status":"success","data":{"resultType":"scalar","result":[1700000060000,"2"]}}"#);
}

/// What is empty is `[]`, and never null.
#[tokio::test]
async fn s03_nothing_is_an_empty_list() {
    let server = Server::start(&[]).await;
    for (query, kind) in [(r#"{app="x"}"#, "streams"), (r#"count_over_time({app="x"}[1m])"#, "matrix")] {
        let flags = r#""encodingFlags":["categorize-labels"],"#;
        assert_eq!(range(&server, query).await.bare(), format!(r#"{{"status":"success","data":{{"resultType":"{kind}",{flags}"result":[]}}}}"#));
        assert_eq!(range_with(&server, query, &[], &[]).await.bare(), format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[]}}}}"#));
    }
    assert!(instant(&server, r#"sum(rate({app="x"}[1m]))"#).await.bare().ends_with(r#""result":[]}}"#));
}

/// Every entry has a third element once the flag is echoed: `{}` where there are no other labels.
#[tokio::test]
async fn s03_s11_02_third_elements_are_empty_objects_where_nothing_is_left() {
    let server = shop().await;
    let dropped = range(&server, r#"{app="shop"} | drop detected_level, trace_id"#).await;
    assert_eq!(
        dropped.shape().split(",stats").next(),
        Some("{status:s,data:{resultType:s,encodingFlags:[s],result:[{stream:{app:s,env:s,service_name:s},values:[[s,s,{}]]}]")
    );
    let parsed = range(&server, r#"{app="shop"} | logfmt | keep level"#).await;
    let thirds = [r#""plain words",{}]"#, r#""parsed":{"level":"error"}}]"#, r#"{"parsed":{"level":"info"}}]"#];
    assert!(thirds.iter().all(|third| parsed.text().contains(third)) && !parsed.text().contains("structuredMetadata"), "{}", parsed.text());
    let plain = range_with(&server, r#"{app="shop"} |= "plain""#, &[], &[]).await;
    let stream = r#"{"app":"shop","detected_level":"unknown","env":"prod","service_name":"shop"}"#;
    assert_eq!(plain.result(), format!(r#"[{{"stream":{stream},"values":[["1700000003000000000","plain words"]]}}]"#));
}

/// A broken line is told by a label, which Grafana shows as a banner.
#[tokio::test]
async fn s03_parser_errors_are_labels() {
    let server = shop().await;
    let broken = range(&server, r#"{app="shop"} |= "plain" | json"#).await.json();
    let third = &broken["data"]["result"][0]["values"][0][2];
    assert_eq!(third["parsed"]["__error__"], "JSONParserErr", "{third}");
    assert!(third["parsed"]["__error_details__"].is_string(), "{third}");
}

/// Parsed labels, then structured metadata, then those of the stream give way where names are equal.
#[tokio::test]
async fn s03_a_parsed_label_of_a_name_that_is_taken_is_renamed() {
    let server = Server::start(&[QUICK]).await;
    push(&server, &[("app", "x")], &[(THEN + SECOND, "app=y trace_id=z", &[("trace_id", "t")])]).await;
    let answer = range(&server, r#"{app="x"} | logfmt"#).await;
    let third = r#"{"structuredMetadata":{"detected_level":"unknown","trace_id":"t"},"parsed":{"app_extracted":"y","trace_id_extracted":"z"}}"#;
    assert!(answer.result().contains(third), "{}", answer.result());
}

/// All members of Loki's statistics, in its order, and Tarn's own behind them.
#[tokio::test]
async fn s03_stats_have_all_of_lokis_members() {
    let server = shop().await;
    let chunk = "{headChunkBytes:n,headChunkLines:n,decompressedBytes:n,decompressedLines:n,compressedBytes:n,totalDuplicates:n,postFilterLines:n,headChunkStructuredMetadataBytes:n,decompressedStructuredMetadataBytes:n}";
    let dataobj = "{prePredicateDecompressedRows:n,prePredicateDecompressedBytes:n,prePredicateDecompressedStructuredMetadataBytes:n,postPredicateRows:n,postPredicateDecompressedBytes:n,postPredicateStructuredMetadataBytes:n,postFilterRows:n,pagesScanned:n,pagesDownloaded:n,pagesDownloadedBytes:n,pageBatches:n,totalRowsAvailable:n,totalPageDownloadTime:n}";
    let store = format!(
        "{{totalChunksRef:n,totalChunksDownloaded:n,chunksDownloadTime:n,queryReferencedStructuredMetadata:b,queryUsedV2Engine:b,chunk:{chunk},chunkRefsFetchTime:n,congestionControlLatency:n,pipelineWrapperFilteredLines:n,dataobj:{dataobj}}}"
    );
    let summary = "{bytesProcessedPerSecond:n,linesProcessedPerSecond:n,totalBytesProcessed:n,totalLinesProcessed:n,execTime:n,queueTime:n,subqueries:n,totalEntriesReturned:n,splits:n,shards:n,totalPostFilterLines:n,totalStructuredMetadataBytesProcessed:n}";
    let cache = "{entriesFound:n,entriesRequested:n,entriesStored:n,bytesReceived:n,bytesSent:n,requests:n,downloadTime:n,queryLengthServed:n}";
    let caches = ["chunk", "index", "result", "statsResult", "volumeResult", "seriesResult", "labelResult", "instantMetricResult", "logResult", "taskResult"];
    let caches = caches.map(|name| format!("{name}:{cache}")).join(",");
    let index = "{totalChunks:n,postFilterChunks:n,shardsDuration:n,usedBloomFilters:b,totalStreams:n,chunkRefsLookupTime:n,bloomFilterTime:n}";
    let querier = format!("{{store:{store},querierExecTime:n}}");
    let ingester = format!("{{totalReached:n,totalChunksMatched:n,totalBatches:n,totalLinesSent:n,store:{store}}}");
    let expected = format!("{{summary:{summary},querier:{querier},ingester:{ingester},cache:{{{caches}}},index:{index},tarn:{{");
    let vector = send(&server, "GET", must::HEALTH, &[FLAG], b"").await;
    let older =
        send(&server, "GET", &format!("/api/prom/query?{}", form(&[("query", r#"{app="shop"}"#), ("start", "1700000000"), ("end", "1700000060")])), &[], b"")
            .await;
    let texts = [
        json::member(range(&server, r#"{app="shop"}"#).await.ok(), "data.stats").to_owned(),
        json::member(instant(&server, r#"sum(rate({app="shop"} |= "x" [1m]))"#).await.ok(), "data.stats").to_owned(),
        json::member(vector.ok(), "data.stats").to_owned(),
        json::member(older.ok(), "stats").to_owned(),
    ];
    for text in texts {
        let shape = shape(&text);
        assert!(shape.starts_with(&expected), "{shape}\n{expected}");
        let own = shape.strip_prefix(&expected).unwrap();
        assert!(own.starts_with("storeRequests:{") && own.contains("},storeBytes:n,estimatedDollars:n,"), "{own}");
    }
}

/// The figures of a query whose work is known.
#[tokio::test]
async fn s03_stats_say_what_a_query_did() {
    let server = shop().await;
    // A chunk that is in time and not in the selector, and a copy of a line.
    push(&server, SHOP, &SHOP_LINES[2..]).await;
    let answer = range(&server, r#"{app="shop"} |= "took" | logfmt | level="info""#).await.json();
    let stats = &answer["data"]["stats"];
    let number = |pointer: &str| stats.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).as_f64().unwrap();
    let store = |name: &str| number(&format!("/querier/store/{name}"));
    assert_eq!((number("/summary/totalEntriesReturned"), number("/summary/splits"), number("/summary/shards")), (1.0, 1.0, 0.0));
    // Four rows of two chunks, of which two have the word.
    assert_eq!((number("/summary/totalLinesProcessed"), number("/summary/totalPostFilterLines")), (4.0, 2.0));
    let lines = bytes(SHOP_LINES) + bytes(&SHOP_LINES[2..]);
    let metadata = number("/summary/totalStructuredMetadataBytesProcessed");
    assert_eq!(number("/summary/totalBytesProcessed"), lines as f64 + metadata);
    assert_eq!((store("totalChunksRef"), store("totalChunksDownloaded")), (2.0, 2.0));
    assert_eq!((store("chunk/decompressedLines"), store("chunk/decompressedBytes"), store("chunk/postFilterLines")), (4.0, lines as f64 + metadata, 2.0));
    assert_eq!((number("/index/totalChunks"), number("/index/postFilterChunks"), number("/index/totalStreams")), (3.0, 2.0, 2.0));
    let took = number("/summary/execTime");
    assert!(took > 0.0 && took < 60.0, "{took}");
    let rate = number("/summary/linesProcessedPerSecond");
    assert!((rate - 4.0 / took).abs() <= 1.0, "{rate} {took}");
    assert_eq!(number("/querier/querierExecTime"), (took * 1e9).floor());
    assert!(store("chunkRefsFetchTime") > 0.0 && store("chunkRefsFetchTime") <= took * 1e9);
    // What the store was asked: at least one LIST, and the chunks, which nobody had read before.
    assert!(number("/tarn/storeRequests/list") >= 1.0 && number("/tarn/storeRequests/get") >= 2.0, "{stats}");
    assert!(store("chunk/compressedBytes") > 0.0 && store("chunk/compressedBytes") == number("/tarn/storeBytes"));
    // S3's list prices: a LIST is half a hundredth of a cent, a GET 0.4 millionths of a dollar; both in requests of this query.
    let dollars = number("/tarn/storeRequests/list") * 5e-6
        + ["get", "head"].iter().map(|op| stats["tarn"]["storeRequests"][op].as_f64().unwrap_or(0.0) * 4e-7).sum::<f64>();
    assert!((number("/tarn/estimatedDollars") - dollars).abs() < 1e-12, "{stats}");
    assert_eq!(number("/tarn/duplicatesDropped"), 0.0);
    let all = range(&server, r#"{app="shop"}"#).await.json();
    assert_eq!(all["data"]["stats"]["tarn"]["duplicatesDropped"], 1);
    assert_eq!(all["data"]["stats"]["querier"]["store"]["chunk"]["totalDuplicates"], 1);
    assert_eq!(all["data"]["stats"]["summary"]["totalEntriesReturned"], 3);
}

/// A chunk counts once, in however many pieces it is read.
#[tokio::test]
async fn s03_stats_count_a_chunk_once() {
    let server = Server::start(&[QUICK]).await;
    let line = "x".repeat(10);
    let values: Vec<Value> = (0..300_000).map(|n: i64| json!([(THEN + n * 1_000_000).to_string(), line])).collect();
    let body = json!({"streams": [{"stream": {"app": "many"}, "values": values}]}).to_string();
    assert_eq!(server.push(body).await.status(), 204);
    let end = (THEN + HOUR).to_string();
    let counted = range_with(&server, r#"sum(count_over_time({app="many"} |= "x" [1h]))"#, &[("end", &end), ("step", "3600000ms")], &[]).await.json();
    assert_eq!(counted["data"]["stats"]["summary"]["totalLinesProcessed"], 300_000);
    assert_eq!(counted["data"]["stats"]["querier"]["store"]["totalChunksDownloaded"], 1);
}
