"""A small service for jobs, as any company might run one."""
