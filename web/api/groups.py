"""Groups of the people who decide approvals."""

from flask import Response

from chains import approver_groups
from web.api import blueprint, problems
from web.auth import caller
from web.bodies import JsonResponse
from web.schemas.attention import (
    ApproverGroup,
    ApproverGroupBody,
    ApproverGroupList,
    ApproverGroupPath,
)

api = blueprint("approver_groups", "Attention")


@api.get(
    "/approver-groups",
    summary="List your groups of approvers",
    responses={200: ApproverGroupList, **problems()},
)
def list_approver_groups() -> JsonResponse:
    """By name. Approvals of your workflows name them as `group:<name>`."""
    return JsonResponse({"items": approver_groups.listing(caller())})


@api.get(
    "/approver-groups/<string:name>",
    summary="Get a group of approvers",
    responses={200: ApproverGroup, **problems(404)},
)
def get_approver_group(path: ApproverGroupPath) -> JsonResponse:
    """Its members are the addresses of users, or of people who may become users."""
    return JsonResponse(approver_groups.show(caller(), path.name))


@api.put(
    "/approver-groups/<string:name>",
    summary="Create a group of approvers, or change its members",
    responses={200: ApproverGroup, **problems(400, 413, 415)},
)
def put_approver_group(path: ApproverGroupPath, body: ApproverGroupBody) -> JsonResponse:
    """The members replace those it had. A change counts for open approvals too: who is a member is
    looked at when a decision is made."""
    return JsonResponse(approver_groups.put(caller(), path.name, body.members))


@api.delete(
    "/approver-groups/<string:name>",
    summary="Delete a group of approvers",
    responses={204: None, **problems(404)},
)
def delete_approver_group(path: ApproverGroupPath) -> Response:
    """Approvals that name it then ask nobody by it, and their workflows need attention."""
    approver_groups.delete(caller(), path.name)
    return Response(status=204)
