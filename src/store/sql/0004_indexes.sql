-- Look-ups that a server with ten thousand apps makes for each of them.
CREATE INDEX apps_of ON apps(project_id);
CREATE INDEX hosts_of ON hosts(app_id);
CREATE INDEX deploys_of_version ON deploys(version_id);
CREATE INDEX members_of ON members(user_id);
