// Package operatorcrds holds on to the operator's types, from which controller-gen makes their definitions.
package operatorcrds

import _ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
