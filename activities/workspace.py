"""Activity that reports the product's members in use (R36)."""

from temporalio import activity

from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from subscription.activity_contracts import MembersInUseInput, MembersInUseResult


class WorkspaceActivities:
    def __init__(self, workspaces: WorkspaceProvisioner) -> None:
        self._workspaces = workspaces

    @activity.defn
    async def count_members_in_use(self, input: MembersInUseInput) -> MembersInUseResult:
        return MembersInUseResult(members=await self._workspaces.members_in_use(input.subscription_id))
