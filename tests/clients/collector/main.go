// Sends every line of a file through an exporter of the OpenTelemetry Collector, and waits until that has delivered them.
// Usage: push URL LINES PAGE EXPORTER, where PAGE is a configuration of the Collector that has EXPORTER (otlp_http, or otlp for gRPC).
// Keys that the exporter does not know are errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	perBatch = 50
	patience = 90 * time.Second
)

var factories = map[string]exporter.Factory{"otlp_http": otlphttpexporter.NewFactory(), "otlp": otlpexporter.NewFactory()}

func main() {
	if err := run(os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func run(path, page, name string) error {
	factory := factories[name]
	config, err := configOf(factory, page, name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")

	ctx := context.Background()
	telemetry := componenttest.NewTelemetry()
	settings := exportertest.NewNopSettings(factory.Type())
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	logs, err := factory.CreateLogs(ctx, settings, config)
	if err != nil {
		return err
	}
	if err := logs.Start(ctx, componenttest.NewNopHost()); err != nil {
		return err
	}
	start := time.Now()
	for from := 0; from < len(lines); from += perBatch {
		to := min(from+perBatch, len(lines))
		if err := logs.ConsumeLogs(ctx, batch(lines[from:to], from, start)); err != nil {
			return err
		}
	}
	// An exporter that ends gives up what it is trying again, so it ends when all is there.
	for sent(telemetry) < int64(len(lines)) {
		if time.Since(start) > patience {
			return fmt.Errorf("%d of %d lines were sent", sent(telemetry), len(lines))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := logs.Shutdown(ctx); err != nil {
		return err
	}
	fmt.Println(len(lines))
	return nil
}

// configOf reads the part of the page that is the exporter's.
func configOf(factory exporter.Factory, page, name string) (component.Config, error) {
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	retrieved, err := confmap.NewRetrievedFromYAML(text)
	if err != nil {
		return nil, err
	}
	all, err := retrieved.AsConf()
	if err != nil {
		return nil, err
	}
	part, err := all.Sub("exporters::" + name)
	if err != nil {
		return nil, err
	}
	if len(part.AllKeys()) == 0 {
		return nil, errors.New("the page has no exporter " + name)
	}
	config := factory.CreateDefaultConfig()
	if err := part.Unmarshal(config); err != nil {
		return nil, err
	}
	return config, confmap.Validate(config)
}

func batch(lines []string, from int, start time.Time) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	resource.Resource().Attributes().PutStr("host.name", "web-1")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	severities := []plog.SeverityNumber{plog.SeverityNumberInfo, plog.SeverityNumberWarn, plog.SeverityNumberError}
	for i, line := range lines {
		n := from + i
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(n))))
		record.SetSeverityNumber(severities[n%len(severities)])
		record.Body().SetStr(line)
		record.Attributes().PutInt("number", int64(n))
	}
	return logs
}

// sent is how many records the exporter says that it has delivered.
func sent(telemetry *componenttest.Telemetry) int64 {
	metric, err := telemetry.GetMetric("otelcol_exporter_sent_log_records")
	if err != nil {
		return 0
	}
	total := int64(0)
	if sum, ok := metric.Data.(metricdata.Sum[int64]); ok {
		for _, point := range sum.DataPoints {
			total += point.Value
		}
	}
	return total
}
