// Reads what is in deploy/ with the code of those who run it, and prints what they understand, as JSON.
//
//	deployment compose FILE                     the file as Docker Compose resolves it; variables from the environment
//	deployment chart DIRECTORY VALUES [NAME...] what Helm makes of a chart with a file of values, strictly decoded
//
// It ends with 1 and a text where a file is not valid: an unknown key, a key that stands twice, a wrong type.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// The oldest that Chart.yaml permits would do as well: nothing in the chart depends on it.
var kubernetes = chartutil.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "compose":
		return compose(arguments[1])
	case len(arguments) == 3 && arguments[0] == "chart":
		return chart(arguments[1], arguments[2])
	}
	return errors.New("usage: deployment compose FILE | deployment chart DIRECTORY VALUES")
}

// compose prints a file of Docker Compose, checked by its schema and with every variable filled in.
func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithOsEnv, cli.WithInterpolation(true),
		cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithConsistency(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// chart lints a chart as `helm lint --strict` does, renders it as `helm template` does, and prints the objects.
func chart(directory, file string) error {
	given, err := chartutil.ReadValuesFile(file)
	if err != nil {
		return err
	}
	found := lint.AllWithKubeVersion(directory, given, "default", &kubernetes)
	for _, message := range found.Messages {
		if message.Severity >= support.WarningSev {
			return fmt.Errorf("lint: %w", message)
		}
	}
	objects, err := render(directory, given)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(objects)
}

func render(directory string, given chartutil.Values) ([]runtime.Object, error) {
	loaded, err := loader.Load(directory)
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "licet", Namespace: "default", Revision: 1, IsInstall: true}
	capabilities := *chartutil.DefaultCapabilities
	capabilities.KubeVersion = kubernetes
	values, err := chartutil.ToRenderValues(loaded, given, release, &capabilities)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Engine{Strict: true}.Render(loaded, values)
	if err != nil {
		return nil, err
	}
	var objects []runtime.Object
	for _, name := range sorted(texts) {
		made, err := decode(texts[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, made...)
	}
	return objects, nil
}

func sorted(texts map[string]string) []string {
	var names []string
	for name := range texts {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// decode reads a stream of YAML with the types of Kubernetes: no unknown key, none twice, no wrong type.
func decode(text string) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme,
		policyv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	options := serializer.SerializerOptions{Yaml: true, Strict: true}
	decoder := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, options)
	reader := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(text)))
	defer reader.Close()
	var objects []runtime.Object
	buffer := make([]byte, 1<<20)
	for {
		count, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		document := bytes.TrimSpace(buffer[:count])
		if len(document) == 0 {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}
