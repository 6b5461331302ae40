-- The plugin, the scope and the first client. Names in braces are filled in at the start.
INSERT INTO g_scope (gs_name, gs_password_required) VALUES ('bench', 0);
INSERT INTO g_plugin_module_instance (gpmi_module, gpmi_name, gpmi_display_name, gpmi_parameters)
  VALUES ('oidc', 'oidc', 'OIDC', '{plugin}');
INSERT INTO g_client_module_instance (gcmi_module, gcmi_order, gcmi_name, gcmi_display_name, gcmi_parameters)
  VALUES ('database', 0, 'database', 'Database', '{client_module}');
INSERT INTO g_client (gc_id, gc_client_id, gc_confidential) VALUES (1, 'client0', 1);
INSERT INTO g_client_scope (gcs_id, gcs_name) VALUES (1, 'bench');
INSERT INTO g_client_scope_client (gcsu_id, gc_id, gcs_id) VALUES (1, 1, 1);
INSERT INTO g_client_property (gcp_id, gc_id, gcp_name, gcp_value) VALUES
  (1, 1, 'authorization_type', 'client_credentials'),
  (2, 1, 'client_secret', '{secret}'),
  (3, 1, 'token_endpoint_auth_method', 'client_secret_basic');
-- Indexes for looking up a client, which glewlwyd lacks.
CREATE INDEX ON g_client_property (gc_id);
CREATE INDEX ON g_client_scope_client (gc_id);
